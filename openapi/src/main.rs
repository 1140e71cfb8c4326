//! `cargo run -p openapi`: writes the description of the API to openapi.json at the workspace's root.

use std::io;

fn main() -> io::Result<()> {
    std::fs::write(openapi::path(), openapi::json())
}
