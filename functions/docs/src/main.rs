//! `GET /docs`: the description of the API, for people. `GET /openapi.json`: the same for programs.

use std::{io::Read, process::ExitCode};

use flate2::read::GzDecoder;
use shared::{
    Body, Error, PublicRequest, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
        HeaderMap, HeaderName, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};

/// What the build script made.
struct Document {
    content_type: &'static str,
    policy: &'static str,
    etag: &'static str,
    gzip: &'static [u8],
}

const PAGE: Document = Document {
    content_type: "text/html; charset=utf-8",
    policy: include_str!(concat!(env!("OUT_DIR"), "/page.csp")),
    etag: include_str!(concat!(env!("OUT_DIR"), "/page.etag")),
    gzip: include_bytes!(concat!(env!("OUT_DIR"), "/page.gz")),
};

const DESCRIPTION: Document = Document {
    content_type: "application/json",
    policy: "default-src 'none'; frame-ancestors 'none'",
    etag: include_str!(concat!(env!("OUT_DIR"), "/description.etag")),
    gzip: include_bytes!(concat!(env!("OUT_DIR"), "/description.gz")),
};

/// For a caller who doesn't accept gzip. A browser does.
const COMPRESSED_ONLY: &str =
    "This page is only sent compressed. Open it in a browser, or use `curl --compressed`.\n";

async fn docs(request: PublicRequest<()>) -> Result<Response, Error> {
    let is_page = request.path == "/docs";
    let document = if is_page { PAGE } else { DESCRIPTION };
    let known = lists(&request.headers, IF_NONE_MATCH, |tag| {
        tag == "*" || tag.trim_start_matches("W/") == document.etag.trim_start_matches("W/")
    });
    let as_gzip = lists(&request.headers, ACCEPT_ENCODING, accepts_gzip);
    // Anyone may ask, and every byte is paid for: uncompressed, the page would be four times as large.
    if is_page && !as_gzip {
        let response = Response::empty(StatusCode::NOT_ACCEPTABLE)
            .with(CONTENT_TYPE, "text/plain; charset=utf-8")
            .with(X_CONTENT_TYPE_OPTIONS, "nosniff")
            .with(CACHE_CONTROL, "no-store")
            .with(VARY, ACCEPT_ENCODING.as_str());
        return Ok(Response { body: Body::Text(COMPRESSED_ONLY.into()), ..response });
    }
    let response = match known {
        true => Response::empty(StatusCode::NOT_MODIFIED),
        false => document.whole(as_gzip)?,
    };
    // Kept, but never shown without asking whether it is still the same: a front end must not go by an old contract.
    Ok(response
        .with(CACHE_CONTROL, "public, no-cache")
        .with(ETAG, document.etag)
        .with(VARY, ACCEPT_ENCODING.as_str()))
}

impl Document {
    fn whole(&self, as_gzip: bool) -> Result<Response, Error> {
        let response = Response::empty(StatusCode::OK)
            .with(CONTENT_TYPE, self.content_type)
            .with(CONTENT_SECURITY_POLICY, self.policy)
            .with(X_CONTENT_TYPE_OPTIONS, "nosniff")
            .with(REFERRER_POLICY, "no-referrer");
        if as_gzip {
            let response = response.with(CONTENT_ENCODING, "gzip");
            return Ok(Response { body: Body::Binary(self.gzip.into()), ..response });
        }
        let mut text = String::new();
        let read = GzDecoder::new(self.gzip).read_to_string(&mut text);
        read.map_err(|error| Error::Internal(format!("a document can't be read: {error}")))?;
        Ok(Response { body: Body::Text(text), ..response })
    }
}

/// Whether a header field that is a list (RFC 9110 §5.6.1) has such an element.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: impl Fn(&str) -> bool) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|element| wanted(element.trim()))
}

/// Whether an element of `Accept-Encoding` (RFC 9110 §12.5.3) allows gzip. A caller without the header may be sent
/// anything by the RFC, but one that can decompress says so.
fn accepts_gzip(element: &str) -> bool {
    let (coding, weight) = element.split_once(';').unwrap_or((element, "q=1"));
    let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
    let coding = coding.trim();
    (coding == "*" || coding.eq_ignore_ascii_case("gzip")) && weight.is_some_and(|weight| weight > 0.0)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::serve_public(|_| Ok(()), docs).await
}
