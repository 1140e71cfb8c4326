//! Generates the OpenAPI 3.1 description of the API, openapi.json.
//!
//! This crate only assembles it: the module `contract` of shared/ describes each resource next to the code
//! that reads its requests and renders its responses. Schemas of responses, bounds, statuses, headers and
//! examples are taken from that code. Written by hand are the texts, the fields of request bodies, and which
//! parameters and errors each operation has; tests compare these with the running API.

#![warn(missing_docs)]

mod health;
mod operations;

use std::path::{Path, PathBuf};

use shared::contract::describe::{changes, errors, headers, lists, tasks};
use utoipa::openapi::{
    Components, ComponentsBuilder, Info, License, OpenApi, OpenApiBuilder, Server, Tag,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

const DESCRIPTION: &str = "\
A task list for each user. Users can read and change only their own tasks.

### Two contracts

A front end uses one of two contracts. They differ in their base URL, their responses and their task ids:

| contract | base URL | responses | task ids |
|---|---|---|---|
| **envelope** | the address of this page without `/docs` | `{\"data\": …, \"error\": …}` | UUIDs |
| **plain** | the same, followed by `/plain` | the task or array itself; errors are `{\"detail\": …, \"error\": …}` | integers |

The paths below the base URL, `/api/{user_id}/tasks…`, are the same in both. So are the tasks: a task created through \
one contract is visible through the other.

### Tokens

Every operation except the health checks needs the header `Authorization: Bearer <token>`. The token is a JWT from Better \
Auth. Its user must be the `user_id` in the path.

- In a front end, get the token from Better Auth's JWT plugin: call `authClient.token()`, or `GET /api/auth/token` on \
the server where users sign in.
- In development, run `cargo dev token --user alice`.

To send requests from this page, press **Authorize** and paste the token. The page then fills in the `user_id` of every \
path.

### Requests

JSON types are strict: `1` is not a boolean, and a number is not a string. Unknown body fields are ignored. A body field \
that appears twice is rejected. A 422 response lists every invalid value, not only the first.

To repeat a write safely, for example after a timeout, send an `Idempotency-Key`. To avoid overwriting a change made \
elsewhere, send the task's `ETag` as `If-Match`.

### Errors from the gateway

The API gateway itself answers requests that match no route, with 404 and `{\"message\": \"Not Found\"}`. It also answers \
requests that it rejects or can't complete, with 400, 413, 429, 431, 500 or 503. These responses contain only `message`.";

/// Returns the path of openapi.json at the root of the workspace.
pub fn path() -> PathBuf {
    // At run time, so that a copy of the workspace writes its own file.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets this for programs and tests");
    Path::new(&package).with_file_name("openapi.json")
}

/// Returns the contents of openapi.json.
pub fn json() -> String {
    document().to_pretty_json().expect("an OpenAPI description serializes to JSON") + "\n"
}

/// Builds the description.
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
            tag("envelope", "The envelope contract: `{\"data\": …, \"error\": …}` and UUIDs."),
            tag("plain", "The plain contract, below `/plain`: unwrapped tasks and integer ids."),
            tag("service", "Health checks. They need no token."),
        ]))
        .paths(operations::paths())
        .components(Some(components()))
        .build()
}

fn server() -> Server {
    let mut server = Server::new("/");
    server.description = Some("This server".into());
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
        .description(Some(
            "A JWT from Better Auth, with or without the prefix `Bearer`. The `user_id` in the path must equal its claim \
             `sub` or `user_id`.",
        ))
        .build();
    let mut schemas =
        [tasks::schemas(), lists::schemas(), changes::schemas(), errors::schemas(), health::schemas()]
            .concat();
    schemas.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(operations::TOKEN, SecurityScheme::Http(token));
    for (name, header) in headers::headers() {
        components = components.header(name, header);
    }
    for (name, response) in errors::responses() {
        components = components.response(name, response);
    }
    components.build()
}
