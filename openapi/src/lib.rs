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

/// Short, because generators of clients repeat it in every file. What belongs to one contract, to tokens or to a
/// header stands there.
const DESCRIPTION: &str = "\
A task list for each user. Users can read and change only their own tasks. A front end uses one of two contracts, \
**envelope** or **plain**. They show the same tasks in different forms, below different base URLs. \
Every operation except the health checks needs a token: **Authorize** explains how to get one, and sends it with the \
requests made from this page.

JSON types are strict: `1` is not a boolean, and a number is not a string. Unknown body fields are ignored. A body field \
that appears twice is rejected. A 422 response lists every invalid value, not only the first.";

const ENVELOPE: &str = "\
The envelope contract. Its base URL is the address of this page without `/docs`. Responses are `{\"data\": …, \"error\": …}`, \
and the ids of tasks are UUIDs.";

const PLAIN: &str = "\
The plain contract. Its base URL is that of envelope, followed by `/plain`. Responses are the task or the array itself, \
errors are `{\"detail\": …, \"error\": …}`, and the ids of tasks are integers.";

const SERVICE: &str = "\
Health checks. They need no token. The API gateway itself answers requests that match no route, with 404 and \
`{\"message\": \"Not Found\"}`, and requests that it rejects or can't complete, with 400, 413, 429, 431, 500 or 503 and only \
`message`.";

const TOKEN: &str = "\
A JWT from Better Auth, with or without the prefix `Bearer`. The `user_id` in the path must equal its claim `sub` or \
`user_id`. This page fills it in.

- In a front end, get the token from Better Auth's JWT plugin: call `authClient.token()`, or `GET /api/auth/token` on \
the server where users sign in.
- In development, run `cargo dev token --user alice`.";

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
        .tags(Some([tag("envelope", ENVELOPE), tag("plain", PLAIN), tag("service", SERVICE)]))
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
        .description(Some(TOKEN))
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
