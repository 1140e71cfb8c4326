//! The description of the API (OpenAPI 3.1), made from the code: schemas from the types of the answers, bounds from
//! the constants that the input is held against, statuses, header fields and examples from answers that the code
//! itself renders. It is committed as openapi.json; a test holds the two against each other.
//!
//! What stands here by itself is which fields a body may have and which errors an operation can answer: both are held
//! against the running API by the tests.

#![warn(missing_docs)]

mod answers;
mod errors;
mod inputs;
mod operations;
mod public;
mod samples;

use std::path::{Path, PathBuf};

use shared::contract::bodies::{Data, EnvelopeChanges, EnvelopeList, EnvelopeTask};
use utoipa::{
    ToSchema,
    openapi::{
        Components, ComponentsBuilder, Info, License, OpenApi, OpenApiBuilder, Server, Tag,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

const DESCRIPTION: &str = "\
Tasks of many users over HTTP. Users see and change their own tasks only.

Two contracts serve two families of front ends from the same tasks: `envelope` wraps every answer in \
`{\"data\": …, \"error\": …}`, `plain` answers the object itself or `{\"detail\": …}`. A task made through one is \
visible through the other.

Types are strict: `1` is no boolean and a number no string. Unknown fields of a body are ignored; one that stands in it \
twice is refused. What is wrong with a request is told all at once.

Requests for which there is no route are answered by the gateway: 404 with `{\"message\": \"Not Found\"}`. So are those \
that it refuses or can't serve itself, with 400, 413, 429, 431, 500 or 503 and a `message`.";

/// Where the committed description lies.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("openapi.json")
}

/// The description, as it is committed.
pub fn json() -> String {
    document().to_pretty_json().expect("a description is JSON") + "\n"
}

/// The description.
pub fn document() -> OpenApi {
    let mut info = Info::new("Task API", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.into());
    let mut license = License::new("MIT");
    license.identifier = Some("MIT".into());
    info.license = Some(license);
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([server()]))
        .tags(Some([
            tag("envelope", "Answers are `{\"data\": …, \"error\": …}`; tasks are named by UUID."),
            tag("plain", "Answers are the object itself, or `{\"detail\": …}`; tasks are named by number."),
            tag("service", "The service itself: whether it runs, and this description."),
        ]))
        .paths(operations::paths())
        .components(Some(components()))
        .build()
}

fn server() -> Server {
    let mut server = Server::new("/");
    server.description = Some("The gateway that serves this description.".into());
    server
}

fn tag(name: &str, description: &str) -> Tag {
    let mut tag = Tag::new(name);
    tag.description = Some(description.into());
    tag
}

fn components() -> Components {
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A token of Better Auth. Its claim `sub` or `user_id` is the user of the path."))
        .build();
    let mut schemas = vec![schema::<EnvelopeTask>(), schema::<EnvelopeList>(), schema::<EnvelopeChanges>()];
    <Data<EnvelopeList>>::schemas(&mut schemas);
    schemas.extend(answers::schemas());
    schemas.extend(errors::schemas());
    schemas.extend(public::schemas());
    schemas.extend(inputs::bodies().into_iter().map(inputs::Body::schema));
    schemas.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(operations::TOKEN, SecurityScheme::Http(token));
    for (name, header) in answers::headers() {
        components = components.header(name, header);
    }
    for (name, response) in errors::responses() {
        components = components.response(name, response);
    }
    components.build()
}

type NamedSchema = (String, utoipa::openapi::RefOr<utoipa::openapi::Schema>);

fn schema<T: ToSchema>() -> NamedSchema {
    (T::name().into_owned(), T::schema())
}
