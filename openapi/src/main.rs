//! `cargo run -p openapi` writes openapi.json at the root of the workspace.

use std::io;

fn main() -> io::Result<()> {
    std::fs::write(openapi::path(), openapi::json())
}
