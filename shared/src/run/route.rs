//! The route of a request.

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;

use crate::contract::Contract;

/// A route of template.yaml.
pub(super) struct Route {
    /// Method and path, such as `GET /health`.
    pub(super) key: String,
    /// The contract of the route.
    pub(super) contract: Contract,
}

impl Route {
    pub(super) fn of(event: &ApiGatewayV2httpRequest) -> Self {
        // The path is used only if there is no route key, because it may begin with the name of a stage.
        let key = match event.route_key.as_deref() {
            Some(key) if key.contains(' ') => key.to_owned(),
            _ => {
                let path = event.raw_path.as_deref().unwrap_or_default();
                format!("{} {path}", event.request_context.http.method)
            }
        };
        let contract = Contract::of_path(path(&key));
        Self { key, contract }
    }

    /// The path, as in template.yaml.
    pub(super) fn path(&self) -> &str {
        path(&self.key)
    }
}

fn path(key: &str) -> &str {
    key.split_once(' ').map_or("", |(_, path)| path)
}
