//! Builds the documents that the function serves, compressed: the page, with all of Swagger UI inlined,
//! openapi.json and llms.txt.

use std::{
    env,
    error::Error,
    fs,
    io::{Cursor, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const DESCRIPTION: &str = "../../openapi.json";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    for file in ["page.html", "page.css", "start.js", "llms.txt", DESCRIPTION] {
        println!("cargo::rerun-if-changed={file}");
    }
    let style = swagger_ui("dist/swagger-ui.css")? + &fs::read_to_string("page.css")?;
    let bundle = swagger_ui("dist/swagger-ui-bundle.js")?;
    // The license requires both files with every copy.
    let notice = swagger_ui("NOTICE")?;
    let license = swagger_ui("LICENSE")?;
    let start = fs::read_to_string("start.js")?;
    let page = fs::read_to_string("page.html")?
        .replace("{style}", &style)
        .replace("{notice}", &notice)
        .replace("{license}", &license)
        .replace("{start}", &start)
        .replace("{swagger_ui}", &bundle);

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    // Only inlined scripts and styles apply. The page sends requests only to its own origin and can't be
    // framed.
    let policy = format!(
        "default-src 'none'; script-src {} {}; style-src {}; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(&bundle),
        hash(&start),
        hash(&style)
    );
    fs::write(out.join("page.csp"), policy)?;
    write(&out, "page", page.as_bytes())?;
    write(&out, "llms", &fs::read("llms.txt")?)?;
    write(&out, "description", &fs::read(DESCRIPTION)?)
}

/// Returns a file of Swagger UI, checked to be safe inside an HTML element or comment.
fn swagger_ui(name: &str) -> Result<String> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    // The archive's top folder is named after the version.
    let is_named = |path: &str| path.split_once('/').is_some_and(|(_, path)| path == name);
    let mut paths = archive.file_names().filter_map(|path| path.ok());
    let path =
        paths.find(|path| is_named(path)).ok_or_else(|| format!("Swagger UI has no {name}"))?.into_owned();
    drop(paths);
    let mut text = String::new();
    archive.by_name(&path)?.read_to_string(&mut text)?;
    // These would end the element early, or be changed by the HTML parser so that the hash no longer matches.
    match ["</script", "</style", "\r", "\0"].iter().any(|breaks| text.contains(breaks)) {
        true => Err(format!("{name} can't be put into a page").into()),
        false => Ok(text),
    }
}

/// Returns the source expression that allows an element with this content in a Content Security Policy.
fn hash(content: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(content)))
}

/// Writes a document, compressed, and its entity tag. The tag is weak because compressed and uncompressed
/// responses share it.
fn write(out: &Path, name: &str, content: &[u8]) -> Result<()> {
    let tag: String = Sha256::digest(content).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    fs::write(out.join(format!("{name}.etag")), format!("W/\"{tag}\""))?;
    let mut compressed = Vec::new();
    GzBuilder::new().read(content, Compression::best()).read_to_end(&mut compressed)?;
    Ok(fs::write(out.join(format!("{name}.gz")), compressed)?)
}
