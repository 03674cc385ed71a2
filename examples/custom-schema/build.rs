//! Generates `messages.rs` in `OUT_DIR` from the schemas beside this file.

fn main() -> Result<(), kwire_codegen::Error> {
    kwire_codegen::Builder::new()
        .schemas("schemas")
        .generate()?;
    Ok(())
}
