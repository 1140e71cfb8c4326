//! Reads the parts of `template.yaml` that the local gateway needs: the functions, their routes, and CORS.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_yaml_ng::{Mapping, Value, from_value};

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
    /// The resource's name in the template.
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

/// A method and a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Route {
    /// The HTTP method, in upper case.
    pub method: String,
    /// The path with its parameters in braces, such as `/api/{user_id}/tasks`.
    pub path: String,
}

impl Route {
    /// Returns the method and path in the form used in events: `POST /api/{user_id}/tasks`.
    pub fn route_key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// `CorsConfiguration` of the HTTP API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
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
const DEFAULT_TIMEOUT_SECONDS: u32 = 3;
/// Lambda's default for functions without a memory size, in MB.
const DEFAULT_MEMORY: u32 = 128;

impl Template {
    /// Reads a template. `parameters` override the defaults of the template's parameters.
    ///
    /// # Errors
    /// If the file can't be read, is not YAML, or uses a feature that this reader doesn't support. The
    /// message names the resource.
    pub fn read(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Self> {
        let name = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("can't read {name}"))?;
        Self::parse(&text, parameters).with_context(|| format!("can't use {name}"))
    }

    fn parse(text: &str, parameters: &BTreeMap<String, String>) -> Result<Self> {
        let document: Value = serde_yaml_ng::from_str(text).context("the file is not YAML")?;
        let intrinsics = Intrinsics { document: &document, parameters };
        let resources = document["Resources"].as_mapping().context("the file has no Resources")?;

        let mut functions = Vec::new();
        let mut apis = Vec::new();
        for (id, resource) in resources {
            let context = || format!("{id:?}");
            match resource["Type"].as_str() {
                Some("AWS::Serverless::Function") => {
                    let logical_id = id.as_str().unwrap_or_default();
                    functions.push(function(logical_id, resource, &intrinsics).with_context(context)?);
                }
                Some("AWS::Serverless::HttpApi") => {
                    let cors = intrinsics.evaluate(&resource["Properties"]["CorsConfiguration"]);
                    apis.push(cors.and_then(|cors| Ok(from_value(cors)?)).with_context(context)?);
                }
                _ => {}
            }
        }
        ensure!(apis.len() < 2, "there are several HttpApis, but the local gateway serves only one");
        Ok(Self { functions, cors: apis.pop().flatten() })
    }
}

fn function(logical_id: &str, resource: &Value, intrinsics: &Intrinsics) -> Result<FunctionResource> {
    let properties = &resource["Properties"];
    let setting = |name: &str, default: u32| -> Result<u32> {
        let own = Some(&properties[name]).filter(|value| !value.is_null());
        let value = own.unwrap_or(&intrinsics.document["Globals"]["Function"][name]);
        let value: Option<u32> = from_value(intrinsics.evaluate(value)?).context(name.to_owned())?;
        Ok(value.unwrap_or(default))
    };
    // Other events, such as schedules and queues, don't come from the gateway.
    let events = properties["Events"].as_mapping().into_iter().flatten();
    let events = events.filter(|(_, event)| event["Type"].as_str() == Some("HttpApi"));
    Ok(FunctionResource {
        logical_id: logical_id.into(),
        binary: from_value(resource["Metadata"]["BuildProperties"]["Binary"].clone())
            .context("Metadata.BuildProperties.Binary")?,
        timeout: Duration::from_secs(setting("Timeout", DEFAULT_TIMEOUT_SECONDS)?.into()),
        memory: setting("MemorySize", DEFAULT_MEMORY)?,
        routes: events
            .map(|(name, event)| from_value(event["Properties"].clone()).with_context(|| format!("{name:?}")))
            .collect::<Result<_>>()?,
    })
}

/// Evaluates CloudFormation's intrinsic functions, limited to those in the values above: `!Ref` of a
/// parameter or of `AWS::NoValue`, `!If`, `!Equals` and `!Split`.
struct Intrinsics<'a> {
    document: &'a Value,
    /// The parameters that are not left at their defaults.
    parameters: &'a BTreeMap<String, String>,
}

impl Intrinsics<'_> {
    fn evaluate(&self, value: &Value) -> Result<Value> {
        let tagged = match value {
            Value::Tagged(tagged) => tagged,
            Value::Sequence(items) => return items.iter().map(|item| self.evaluate(item)).collect(),
            Value::Mapping(entries) => {
                let entries = entries.iter().map(|(key, value)| Ok((key.clone(), self.evaluate(value)?)));
                return Ok(entries.collect::<Result<Mapping>>()?.into());
            }
            _ => return Ok(value.clone()),
        };
        let tag = tagged.tag.to_string();
        match (tag.as_str(), tagged.value.as_sequence().map(Vec::as_slice), tagged.value.as_str()) {
            ("!Ref", _, Some("AWS::NoValue")) => Ok(Value::Null),
            ("!Ref", _, Some(name)) => match self.parameters.get(name) {
                Some(value) => Ok(value.as_str().into()),
                None => Ok(self.document["Parameters"][name]["Default"].clone()),
            },
            ("!If", Some([Value::String(name), yes, no]), _) => {
                let condition = self.evaluate(&self.document["Conditions"][name.as_str()])?;
                let holds = condition.as_bool().with_context(|| format!("{name} is not a condition"))?;
                self.evaluate(if holds { yes } else { no })
            }
            ("!Equals", Some([left, right]), _) => Ok((self.evaluate(left)? == self.evaluate(right)?).into()),
            ("!Split", Some([Value::String(delimiter), text]), _) => {
                let text = self.evaluate(text)?;
                let text = text.as_str().context("the argument of !Split is not a string")?;
                Ok(text.split(delimiter.as_str()).collect())
            }
            _ => bail!("{tag} is not supported by the local gateway"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_decide_the_cors_configuration_of_the_projects_own_template() {
        let cors = |origins: &str| {
            let path = crate::binaries::workspace_root().join("template.yaml");
            let parameters = [("CorsAllowedOrigins".to_owned(), origins.to_owned())].into();
            Template::read(&path, &parameters).expect("the template is valid").cors
        };
        assert!(cors("").is_none(), "no origin is allowed by default");
        let named = cors("https://a.example,https://b.example").expect("a CORS configuration");
        assert_eq!(named.allow_origins, ["https://a.example", "https://b.example"]);
        assert!(named.allow_credentials);
        let any = cors("*").expect("a CORS configuration");
        assert_eq!(any.allow_origins, ["*"]);
        assert!(!any.allow_credentials);
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
    fn an_unsupported_value_is_reported_with_its_resource() {
        let text = "
            Resources:
              A: { Type: 'AWS::Serverless::Function', Metadata: { BuildProperties: { Binary: a } }, Properties: { Timeout: !ImportValue x } }";
        let error = Template::parse(text, &BTreeMap::new()).expect_err("ImportValue is unknown");
        let message = format!("{error:#}");
        assert!(message.contains("\"A\"") && message.contains("!ImportValue"), "{message}");
    }
}
