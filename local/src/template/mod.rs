//! Reads the parts of `template.yaml` that the local gateway needs: the functions, their routes, and CORS.

mod intrinsics;
mod routes;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_yaml_ng::Value;

use intrinsics::Intrinsics;
pub use routes::{MalformedPath, Route, RouteMatch, decode};

/// The parts of a SAM template that the local gateway needs.
#[derive(Clone, Debug)]
pub struct Template {
    /// All functions, in the template's order.
    pub functions: Vec<FunctionResource>,
    /// The HTTP API's CORS configuration, if it has one.
    pub cors: Option<CorsConfiguration>,
}

/// A resource of type `AWS::Serverless::Function`.
#[derive(Clone, Debug)]
pub struct FunctionResource {
    /// The function's name in the template.
    pub logical_id: String,
    /// Name of the function's binary and of its package.
    pub binary: String,
    /// Time limit of one invocation.
    pub timeout: Duration,
    /// Memory in MB, which the function can read but which is not enforced.
    pub memory: u32,
    /// The function's events of type `HttpApi`. Empty for a function that is only invoked directly.
    pub routes: Vec<Route>,
}

/// `CorsConfiguration` of the HTTP API.
#[derive(Clone, Debug, Default)]
pub struct CorsConfiguration {
    /// Origins that browsers may call from. `*` allows any.
    pub allow_origins: Vec<String>,
    /// Methods that a preflight permits.
    pub allow_methods: Vec<String>,
    /// Request headers that a preflight permits.
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read.
    pub expose_headers: Vec<String>,
    /// How long a browser may cache the response to a preflight, in seconds.
    pub max_age: Option<u64>,
    /// Whether requests may carry credentials.
    pub allow_credentials: bool,
}

/// Lambda's default for functions without a timeout, in seconds.
const DEFAULT_TIMEOUT_SECONDS: u64 = 3;
/// Lambda's default for functions without a memory size, in MB.
const DEFAULT_MEMORY: u64 = 128;

impl Template {
    /// Reads a template. `parameters` override the defaults of the template's parameters.
    ///
    /// # Errors
    /// If the file can't be read, is not YAML, or uses a feature that this reader doesn't support. The
    /// message names the place.
    pub fn read(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Self> {
        let name = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("can't read {name}"))?;
        Self::parse(&text, parameters).with_context(|| format!("can't use {name}"))
    }

    fn parse(text: &str, parameters: &BTreeMap<String, String>) -> Result<Self> {
        let document: Value = serde_yaml_ng::from_str(text).context("the file is not YAML")?;
        let reader = Reader {
            intrinsics: Intrinsics::new(&document, parameters),
            function_defaults: &document["Globals"]["Function"],
        };
        let resources = document["Resources"].as_mapping().context("the file has no Resources")?;

        let mut functions = Vec::new();
        let mut api = None;
        for (id, resource) in resources {
            let id = id.as_str().context("a resource's name is not a string")?;
            match resource["Type"].as_str() {
                Some("AWS::Serverless::Function") => functions.push(reader.function(id, resource)?),
                Some("AWS::Serverless::HttpApi") => {
                    ensure!(api.is_none(), "{id} is a second HttpApi, but the local gateway serves only one");
                    api = Some((id, &resource["Properties"]["CorsConfiguration"]));
                }
                _ => {}
            }
        }
        let cors = match api {
            Some((id, cors)) => reader.cors(id, cors)?,
            None => None,
        };
        Ok(Self { functions, cors })
    }
}

struct Reader<'a> {
    intrinsics: Intrinsics<'a>,
    function_defaults: &'a Value,
}

impl Reader<'_> {
    fn function(&self, id: &str, resource: &Value) -> Result<FunctionResource> {
        let properties = &resource["Properties"];
        let setting = |name: &str, default: u64| -> Result<u64> {
            let value =
                [&properties[name], &self.function_defaults[name]].into_iter().find(|value| !value.is_null());
            value.map_or(Ok(default), |value| self.number(value, &format!("{id}.{name}")))
        };

        let mut routes = Vec::new();
        for (name, event) in properties["Events"].as_mapping().into_iter().flatten() {
            // Other events, such as schedules and queues, don't come from the gateway.
            if event["Type"].as_str() == Some("HttpApi") {
                let place = format!("{id}.Events.{}", name.as_str().unwrap_or_default());
                let property = |name: &str| self.text(&event["Properties"][name], &format!("{place}.{name}"));
                let route = Route::new(&property("Method")?, &property("Path")?);
                routes.push(route.context(place)?);
            }
        }
        Ok(FunctionResource {
            logical_id: id.to_owned(),
            binary: self.text(
                &resource["Metadata"]["BuildProperties"]["Binary"],
                &format!("{id}.Metadata.BuildProperties.Binary"),
            )?,
            timeout: Duration::from_secs(setting("Timeout", DEFAULT_TIMEOUT_SECONDS)?),
            memory: setting("MemorySize", DEFAULT_MEMORY)?.try_into()?,
            routes,
        })
    }

    fn cors(&self, id: &str, cors: &Value) -> Result<Option<CorsConfiguration>> {
        let cors = &self.intrinsics.resolve(cors, &format!("{id}.CorsConfiguration"))?;
        if cors.is_null() {
            return Ok(None);
        }
        let place = |name: &str| format!("{id}.CorsConfiguration.{name}");
        let list = |name: &str| self.list(&cors[name], &place(name));
        let max_age = &cors["MaxAge"];
        let credentials = &cors["AllowCredentials"];
        Ok(Some(CorsConfiguration {
            allow_origins: list("AllowOrigins")?,
            allow_methods: list("AllowMethods")?,
            allow_headers: list("AllowHeaders")?,
            expose_headers: list("ExposeHeaders")?,
            max_age: (!max_age.is_null()).then(|| self.number(max_age, &place("MaxAge"))).transpose()?,
            allow_credentials: !credentials.is_null()
                && self
                    .intrinsics
                    .resolve(credentials, &place("AllowCredentials"))?
                    .as_bool()
                    .with_context(|| format!("{} is not true or false", place("AllowCredentials")))?,
        }))
    }

    fn text(&self, value: &Value, place: &str) -> Result<String> {
        let value = self.intrinsics.resolve(value, place)?;
        let text = value.as_str().with_context(|| format!("{place} is not a string"))?;
        Ok(text.to_owned())
    }

    fn number(&self, value: &Value, place: &str) -> Result<u64> {
        let value = self.intrinsics.resolve(value, place)?;
        value.as_u64().with_context(|| format!("{place} is not a number"))
    }

    /// Resolves a list of strings. An absent list is empty.
    fn list(&self, value: &Value, place: &str) -> Result<Vec<String>> {
        let value = self.intrinsics.resolve(value, place)?;
        if value.is_null() {
            return Ok(Vec::new());
        }
        let items = value.as_sequence().with_context(|| format!("{place} is not a list"))?;
        items.iter().map(|item| self.text(item, place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace_template(origins: Option<&str>) -> Template {
        let path = crate::binaries::workspace_root().join("template.yaml");
        let parameters = origins.map(|origins| ("CorsAllowedOrigins".into(), origins.into()));
        Template::read(&path, &parameters.into_iter().collect()).expect("the template is valid")
    }

    #[test]
    fn the_projects_own_template_can_be_read() {
        let template = workspace_template(None);
        let create = &template.functions[0];
        assert_eq!(create.binary, "create-task");
        assert_eq!(create.routes[0].route_key(), "POST /api/{user_id}/tasks");
        assert!(template.functions.iter().any(|function| function.routes.is_empty()));
        assert!(template.cors.is_none(), "no origin is allowed by default");
    }

    #[test]
    fn parameters_are_used_in_conditions() {
        let named = workspace_template(Some("https://a.example,https://b.example"));
        let cors = named.cors.expect("the API has a CORS configuration");
        assert_eq!(cors.allow_origins, ["https://a.example", "https://b.example"]);
        assert!(cors.allow_credentials);

        let any = workspace_template(Some("*"));
        let cors = any.cors.expect("the API has a CORS configuration");
        assert_eq!(cors.allow_origins, ["*"]);
        assert!(!cors.allow_credentials);
    }

    #[test]
    fn settings_fall_back_to_the_globals_then_to_lambdas_defaults() {
        let text = "
            Globals: { Function: { Timeout: 10 } }
            Resources:
              A: { Type: 'AWS::Serverless::Function', Metadata: { BuildProperties: { Binary: a } }, Properties: { Timeout: 300 } }
              B: { Type: 'AWS::Serverless::Function', Metadata: { BuildProperties: { Binary: b } } }";
        let template = Template::parse(text, &BTreeMap::new()).expect("the template is valid");
        assert_eq!(template.functions[0].timeout, Duration::from_secs(300));
        assert_eq!(template.functions[1].timeout, Duration::from_secs(10));
        assert_eq!(template.functions[1].memory, 128);
        assert!(template.cors.is_none());
    }

    #[test]
    fn unsupported_values_are_named() {
        let text = "
            Resources:
              A: { Type: 'AWS::Serverless::Function', Metadata: { BuildProperties: { Binary: !ImportValue x } } }";
        let error = Template::parse(text, &BTreeMap::new()).expect_err("ImportValue is unknown");
        let message = format!("{error:#}");
        assert!(message.contains("A.Metadata.BuildProperties.Binary"), "{message}");
        assert!(message.contains("!ImportValue"), "{message}");
    }
}
