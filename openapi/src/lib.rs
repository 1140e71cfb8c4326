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
Tasks of many users over HTTP. Users see and change only their own tasks.

### Base URLs

| front ends of | base URL | responses | task ids |
|---|---|---|---|
| the **envelope** contract | the address of this page without `/docs` | `{\"data\": …, \"error\": …}` | UUIDs |
| the **plain** contract | the same with `/plain` | the object itself, or `{\"detail\": …, \"error\": …}` | numbers |

Below it, both have the same paths, `/api/{user_id}/tasks…`. A task created through one contract is visible through the \
other.

### Tokens

Every request on tasks needs `Authorization: Bearer <token>`, a JWT of Better Auth. A signed-in front end gets one from \
Better Auth's JWT plugin (`authClient.token()`, or `GET /api/auth/token` of the service that signs users in). In \
development, `cargo dev token --user alice` prints one. To try requests here, press **Authorize** and paste it; the user \
id of each path is then filled in.

### Requests

Types are strict: `1` is not a boolean, and a number is not a string. Unknown fields of a body are ignored; a field that \
appears twice is rejected. All invalid values of a request are reported together.

The gateway itself answers requests that have no route, with 404 and `{\"message\": \"Not Found\"}`, and those that it \
rejects or can't serve, with 400, 413, 429, 431, 500 or 503 and a `message`.";

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
            tag("envelope", "For front ends of the envelope contract."),
            tag("plain", "For front ends of the plain contract."),
            tag("service", "Whether the service runs."),
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
        .description(Some("A JWT of Better Auth, with or without `Bearer`. Its claim `sub` or `user_id` is the user of the path."))
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
