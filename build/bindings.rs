//! Rust declarations of a server's C interface, as bindgen reads it.

use std::env;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

/// What is read, and where the declarations go.
pub struct Bindings {
    /// The header that includes all others.
    pub header: &'static str,
    /// The server, for messages.
    pub server: &'static str,
    /// Name of the file in `OUT_DIR`.
    pub output: &'static str,
}

impl Bindings {
    /// Writes the declarations that `choose` lets through.
    pub fn write(
        &self,
        flags: &[String],
        choose: impl FnOnce(bindgen::Builder) -> bindgen::Builder,
    ) -> Result<(), String> {
        let builder = bindgen::Builder::default()
            .header(self.header)
            .clang_args(flags)
            .default_enum_style(bindgen::EnumVariation::Consts)
            .prepend_enum_name(false)
            .derive_debug(false)
            .layout_tests(false)
            .generate_comments(false)
            .merge_extern_blocks(true)
            .rust_edition(bindgen::RustEdition::Edition2024);
        let builder = choose(builder);
        let output = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join(self.output);

        // bindgen panics, and only then says so, when it cannot load libclang.
        std::panic::set_hook(Box::new(|_| ()));
        let generated = std::panic::catch_unwind(AssertUnwindSafe(|| builder.generate()));
        drop(std::panic::take_hook());
        match generated {
            Ok(Ok(bindings)) => bindings
                .write_to_file(&output)
                .map_err(|error| format!("{} cannot be written: {error}", output.display())),
            Ok(Err(error)) => Err(format!("the headers of {} cannot be read: {error}", self.server)),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map_or("bindgen panicked", String::as_str);
                Err(format!(
                    "{text}\nlibclang is needed to read the headers of {}: install libclang-dev (Debian, Ubuntu) or \
                     clang-devel (Red Hat, Fedora), or let LIBCLANG_PATH name the folder that holds it",
                    self.server
                ))
            }
        }
    }
}
