//! Builds the package again when a migration is added. The macro that embeds them only notices changes.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
