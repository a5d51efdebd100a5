//! The nginx that the module is built for.
//!
//! A module fits one version of nginx, configured in one way. The tree of headers and `configure` (`NGINX_SOURCE`, else
//! what Debian's `nginx-dev` installs) is configured anew, as the distribution did, in a folder of our own: nothing is
//! written to the tree. bindgen reads `include/nginx.h`; inline functions and macros come through `include/nginx_shim.c`.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bindgen::callbacks::{IntKind, ParseCallbacks};

use crate::bindings::Bindings;

/// Where Debian has the tree.
const PACKAGED: &str = "/usr/share/nginx/src";

const INSTALL: &str = "\ninstall nginx-dev (Debian, Ubuntu), or let the environment variable NGINX_SOURCE name the source \
                       folder of the nginx to build for";

/// What differs between versions of nginx, for `cfg`.
pub fn declare_cfgs() {
    println!("cargo::rustc-check-cfg=cfg(nginx_header_lists)");
    println!("cargo::rustc-check-cfg=cfg(nginx_limit_rate_value)");
}

/// Configures the tree, compiles the shim and makes the bindings.
pub fn build() -> Result<(), String> {
    println!("cargo::rerun-if-changed=include/nginx.h");
    println!("cargo::rerun-if-changed=include/nginx_shim.h");
    println!("cargo::rerun-if-changed=include/nginx_shim.c");
    println!("cargo::rerun-if-env-changed=NGINX_SOURCE");
    println!("cargo::rerun-if-env-changed=OXWSGI_NGINX");
    println!("cargo::rerun-if-env-changed=PATH");

    let tree = Tree::find()?;
    let arguments = tree.arguments()?;
    let flags = tree.configure(&arguments)?;
    cc::Build::new()
        .file("include/nginx_shim.c")
        .flags(&flags)
        .flag_if_supported("-fvisibility=hidden")
        .warnings(true)
        // nginx's own headers have parameters that their inline functions do not use.
        .flag_if_supported("-Wno-unused-parameter")
        .flag_if_supported("-Werror=implicit-function-declaration")
        .try_compile("nginx_shim")
        .map_err(|error| format!("include/nginx_shim.c does not compile: {error}"))?;
    let bindings = Bindings { header: "include/nginx.h", server: "nginx", output: "nginx.rs" };
    bindings.write(&flags, |builder| {
        builder
            .allowlist_function("(ngx|shim)_.*")
            .allowlist_type("ngx_.*")
            .allowlist_var("(ngx|NGX|nginx|NGINX|shim|SHIM)_.*")
            .generate_cstr(true)
            .parse_callbacks(Box::new(Constants))
    })?;

    // 1.23.0 made lists of the arrays of header fields.
    if tree.number >= 1_023_000 {
        println!("cargo::rustc-cfg=nginx_header_lists");
    }
    // 1.27.0 lets it hold variables.
    let upstream = read(&tree.folder.join("src/http/ngx_http_upstream.h"))?;
    let mut fields = upstream.lines().filter_map(|line| line.trim().strip_suffix("limit_rate;"));
    if fields.any(|kind| kind.contains("ngx_http_complex_value_t")) {
        println!("cargo::rustc-cfg=nginx_limit_rate_value");
    }
    // nginx unloads a module at a reload; what is thread-local in it could not follow.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    Ok(())
}

/// Types of constants that C leaves to their use.
#[derive(Debug)]
struct Constants;

impl ParseCallbacks for Constants {
    fn int_macro(&self, name: &str, value: i64) -> Option<IntKind> {
        let custom = |name| Some(IntKind::Custom { name, is_signed: value < 0 });
        let is_status = (100..600).contains(&value)
            && name.starts_with("NGX_HTTP_")
            && !name.starts_with("NGX_HTTP_UPSTREAM_")
            && !matches!(name, "NGX_HTTP_COPY" | "NGX_HTTP_MOVE" | "NGX_HTTP_OPTIONS");
        match name {
            "NGX_OK" | "NGX_ERROR" | "NGX_AGAIN" | "NGX_BUSY" | "NGX_DONE" | "NGX_DECLINED" | "NGX_ABORT" => {
                custom("ngx_int_t")
            }
            "NGX_CONF_UNSET" => custom("ngx_flag_t"),
            "NGX_MODULE_UNSET_INDEX" => custom("ngx_uint_t"),
            _ if is_status => custom("ngx_int_t"),
            _ if value >= 0 && (name.starts_with("NGX_HTTP_") || name.starts_with("NGX_LOG_")) => {
                custom("ngx_uint_t")
            }
            _ if value >= 0 && name.starts_with("NGX_CONF_") => custom("ngx_uint_t"),
            _ if value >= 0 && name.starts_with("NGX_PROCESS_") => custom("ngx_uint_t"),
            _ => None,
        }
    }
}

/// Headers and `configure` of one version.
struct Tree {
    folder: PathBuf,
    /// `1.22.1`.
    version: String,
    /// 1022001.
    number: u32,
}

impl Tree {
    fn find() -> Result<Self, String> {
        let named = env::var_os("NGINX_SOURCE").filter(|value| !value.is_empty());
        let folder = PathBuf::from(named.unwrap_or_else(|| PACKAGED.into()));
        let header = folder.join("src/core/nginx.h");
        println!("cargo::rerun-if-changed={}", header.display());
        for part in [&header, &folder.join("configure"), &folder.join("auto")] {
            if !part.exists() {
                return Err(format!(
                    "the headers and the `configure` of nginx are not in {}: {} is missing{INSTALL}",
                    folder.display(),
                    part.display()
                ));
            }
        }
        let text = read(&header)?;
        let defined = |name: &str| {
            text.lines().find_map(|line| {
                line.strip_prefix("#define")?
                    .trim_start()
                    .strip_prefix(name)
                    .map(|value| value.trim().to_owned())
            })
        };
        let number = defined("nginx_version").and_then(|value| value.parse().ok());
        let version = defined("NGINX_VERSION").map(|value| value.trim_matches('"').to_owned());
        let (Some(number), Some(version)) = (number, version) else {
            return Err(format!("{} does not say which version of nginx it belongs to", header.display()));
        };
        Ok(Self { folder, version, number })
    }

    /// The arguments that the distribution gave to `configure`.
    fn arguments(&self) -> Result<Vec<String>, String> {
        let packaged = self.folder.join("conf_flags");
        if packaged.is_file() {
            println!("cargo::rerun-if-changed={}", packaged.display());
            // Debian's file is an array in bash's syntax.
            let script = r#". "$1" && printf '%s\0' "${NGX_CONF_FLAGS[@]}""#;
            let output =
                run(Command::new("bash").args(["-c", script, "bash"]).arg(&packaged), "bash")?.stdout;
            let flags = String::from_utf8_lossy(&output);
            return Ok(flags.split('\0').filter(|flag| !flag.is_empty()).map(str::to_owned).collect());
        }
        let program = find_nginx(&self.folder)?;
        println!("cargo::rerun-if-changed={}", program.display());
        let said = run(Command::new(&program).arg("-V"), &program.display().to_string())?.stderr;
        let said = String::from_utf8_lossy(&said).into_owned();
        let line = |start| said.lines().find_map(|line| line.strip_prefix(start));
        if line("nginx version: nginx/").and_then(|line| line.split(' ').next()) != Some(&*self.version) {
            return Err(format!(
                "{} is another version of nginx than the sources in {}, which are of {}; a module fits one version: let \
                 the environment variable OXWSGI_NGINX name the nginx to build for, and NGINX_SOURCE the sources of the same",
                program.display(),
                self.folder.display(),
                self.version
            ));
        }
        let flags = line("configure arguments:").unwrap_or_default();
        let flags = shlex::split(flags)
            .ok_or_else(|| format!("`{} -V` prints arguments that are not closed", program.display()))?;
        // Other modules need sources and libraries of their own, and change nothing for this one.
        let is_other = |flag: &str| {
            flag.ends_with("=dynamic")
                || flag.starts_with("--add-module=")
                || flag.starts_with("--add-dynamic-module=")
        };
        Ok(flags.into_iter().filter(|flag| !is_other(flag)).collect())
    }

    /// Runs `configure` in `OUT_DIR`; the answer is what the compiler has to be told.
    fn configure(&self, arguments: &[String]) -> Result<Vec<String>, String> {
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
        let (stage, objects) = (out.join("nginx"), out.join("objs"));
        let cannot = |path: &Path, error| format!("{} cannot be written: {error}", path.display());
        for folder in [&stage, &objects] {
            if folder.exists() {
                fs::remove_dir_all(folder).map_err(|error| cannot(folder, error))?;
            }
        }
        fs::create_dir_all(&stage).map_err(|error| cannot(&stage, error))?;
        let tree = self.folder.canonicalize().map_err(|error| cannot(&self.folder, error))?;
        // `configure` reads the folder it stands in, and of some versions leaves a Makefile there.
        for name in ["auto", "configure", "src"] {
            symlink(tree.join(name), stage.join(name)).map_err(|error| cannot(&stage, error))?;
        }
        let mut command = Command::new("sh");
        command.arg("./configure").args(arguments).arg(format!("--builddir={}", objects.display()));
        run(command.current_dir(&stage), "nginx's configure").map_err(|error| {
            format!("{error}\nit needs a C compiler and the headers of the libraries that nginx uses: install the packages build-essential, libpcre2-dev, libssl-dev and zlib1g-dev (Debian, Ubuntu)")
        })?;

        let mut flags = included(&read(&objects.join("Makefile"))?, &tree);
        for argument in arguments {
            let Some(options) = argument.strip_prefix("--with-cc-opt=") else { continue };
            let options = options.split_whitespace();
            flags.extend(
                options.filter(|flag| flag.starts_with("-I") || flag.starts_with("-D")).map(str::to_owned),
            );
        }
        // Only says that the compiler does not optimise, which bindgen never does.
        flags.retain(|flag| !flag.starts_with("-D_FORTIFY_SOURCE"));
        Ok(flags)
    }
}

/// The include folders that the Makefile lists as `ALL_INCS`.
fn included(makefile: &str, tree: &Path) -> Vec<String> {
    let lines =
        makefile.lines().skip_while(|line| !line.starts_with("ALL_INCS")).scan(true, |goes_on, line| {
            goes_on.then(|| {
                *goes_on = line.ends_with('\\');
                line.trim_start_matches("ALL_INCS =").trim_end_matches('\\')
            })
        });
    let words = lines.flat_map(str::split_whitespace).filter(|word| *word != "-I");
    words.map(|word| format!("-I{}", tree.join(word.trim_start_matches("-I")).display())).collect()
}

fn find_nginx(tree: &Path) -> Result<PathBuf, String> {
    if let Some(program) = env::var_os("OXWSGI_NGINX").filter(|value| !value.is_empty()) {
        return Ok(program.into());
    }
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/usr/local/sbin");
    env::split_paths(&path).map(|folder| folder.join("nginx")).find(|file| file.is_file()).ok_or_else(|| {
        format!(
            "the sources in {} do not say how nginx was configured, and no nginx that could is on PATH; let the \
             environment variable OXWSGI_NGINX name the nginx to build for",
            tree.display()
        )
    })
}

fn run(command: &mut Command, name: &str) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{name} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    // `configure` says on its standard output what it lacks.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    Err(format!("{name} failed: {}", lines[lines.len().saturating_sub(6)..].join("\n")))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}
