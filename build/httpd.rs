//! The httpd that the module is built for.
//!
//! It is asked through `apxs` (from `APXS`, else on `PATH`): include folders, definitions, version. bindgen reads
//! `include/apache.h`; macros, variable arguments and inline functions come in through `include/apache_shim.c`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bindings::Bindings;

/// What the module uses of httpd and apr, as regular expressions for bindgen.
const FUNCTIONS: &[&str] = &[
    "shim_.*",
    // Start and stop
    "ap_(add_version_component|exists_config_define|get_server_built|get_server_description|get_server_revision)",
    "ap_(mpm_query|show_mpm|state_query)",
    "ap_hook_(child_init|handler|monitor|post_config|pre_config|check_config|test_config|translate_name)",
    // Directives
    "ap_(check_cmd_context|getword_conf|pregcomp|pregfree|pregsub|regexec)",
    "ap_(runtime_dir_relative|server_root_relative)",
    // Requests
    "ap_(allow_options|construct_url|context_document_root|context_prefix|document_root|escape_html2)",
    "ap_get_limit_req_body",
    "ap_(discard_request_body|get_conn_socket|internal_redirect)",
    "ap_(get_server_banner|get_server_name|get_server_name_for_url|get_server_port|run_generate_log_id|run_http_scheme)",
    // Bodies and replies
    "ap_(get_brigade|map_http_request_error|pass_brigade|send_interim_response|set_content_length|set_content_type)",
    "ap_bucket_error_create",
    "apr_brigade_(cleanup|create|insert_file)",
    "apr_bucket_(eos|flush|transient)_create|apr_bucket_file_enable_mmap",
    "apr_bucket_(alloc|free|heap_make|setaside_noop)|apr_bucket_shared_(copy|destroy|make|split)",
    // apr
    "apr_(palloc|pstrdup|pstrmemdup|strerror)",
    "apr_hash_get",
    "apr_(file_dup|os_file_get|os_file_put|os_sock_get)",
    "apr_proc_other_child_(register|unregister)",
    "apr_socket_timeout_(get|set)",
    "apr_pool_(cleanup_kill|cleanup_null|cleanup_register|userdata_get|userdata_set)",
    "apr_table_(addn|elts|get|mergen|setn|unset)",
];

const TYPES: &[&str] = &[
    "ap_(filter|regex|regmatch)_t",
    "ap_version_t",
    "apr_(bucket|bucket_brigade|bucket_refcount|bucket_type_t|file_t|pool_t|proc_t|table_entry_t|table_t)",
    "cmd_(how|parms)",
    "(command|conn|request|server)_rec",
    "core_dir_config",
    "module",
];

const VARIABLES: &[&str] = &[
    "AP_(CGI_PASS_AUTH_ON|FTYPE_.*|MAX_REG_MATCH|MODE_.*|MPMQ_.*|REG_.*|REQ_.*|SQ_.*)",
    "APR_(BLOCK_READ|BUCKET_DATA|DIR|EOF|FOPEN_READ|FOPEN_SENDFILE_ENABLED|HOOK_.*|NOFILE|NONBLOCK_READ|OC_REASON_.*)",
    "APR_(SUCCESS|TIMEUP)",
    "ap_(server_conf|unixd_config)|AP_CORE_CONFIG_ON|ENABLE_MMAP_OFF|OPT_EXECCGI",
    "(ACCESS_CONF|EXEC_ON_READ|GLOBAL_ONLY|NOT_IN_.*|OR_.*|RSRC_CONF)",
    "(DECLINED|DONE|OK|HTTP_.*|M_[A-Z]*)",
    "MODULE_MAGIC_.*",
];

/// Compiles the shim and makes the bindings.
pub fn build() -> Result<(), String> {
    println!("cargo::rerun-if-changed=include/apache.h");
    println!("cargo::rerun-if-changed=include/apache_shim.h");
    println!("cargo::rerun-if-changed=include/apache_shim.c");
    println!("cargo::rerun-if-env-changed=APXS");
    println!("cargo::rerun-if-env-changed=PATH");

    let httpd = Httpd::find()?;
    println!("cargo::rerun-if-changed={}", httpd.apxs.display());
    println!("cargo::rerun-if-changed={}", httpd.release_header.display());

    cc::Build::new()
        .file("include/apache_shim.c")
        .flags(&httpd.flags)
        .flag_if_supported("-fvisibility=hidden")
        .warnings(true)
        .flag_if_supported("-Werror=implicit-function-declaration")
        .try_compile("apache_shim")
        .map_err(|error| format!("include/apache_shim.c does not compile: {error}"))?;
    let bindings = Bindings { header: "include/apache.h", server: "httpd", output: "apache.rs" };
    bindings.write(&httpd.flags, |mut builder| {
        builder = builder.default_macro_constant_type(bindgen::MacroTypeVariation::Signed);
        builder = FUNCTIONS.iter().fold(builder, |builder, name| builder.allowlist_function(name));
        builder = TYPES.iter().fold(builder, |builder, name| builder.allowlist_type(name));
        VARIABLES.iter().fold(builder, |builder, name| builder.allowlist_var(name))
    })?;

    // The server's symbols are there when it loads the module, and only then.
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-undefined,dynamic_lookup");
    }
    Ok(())
}

/// The httpd to build for.
struct Httpd {
    apxs: PathBuf,
    release_header: PathBuf,
    /// Include folders and definitions for the C compiler.
    flags: Vec<String>,
}

impl Httpd {
    fn find() -> Result<Self, String> {
        let apxs = find_apxs()?;
        let include = query(&apxs, "INCLUDEDIR")?;
        let release_header = Path::new(&include).join("ap_release.h");
        if !release_header.is_file() {
            return Err(format!(
                "{} names {include} as httpd's include folder, but there is no ap_release.h in it{INSTALL}",
                apxs.display()
            ));
        }
        let mut flags = vec![format!("-I{include}")];
        for name in ["APR_INCLUDEDIR", "APU_INCLUDEDIR"] {
            flags.push(format!("-I{}", query(&apxs, name)?));
        }
        let definitions = query(&apxs, "EXTRA_CPPFLAGS")?;
        flags.extend(definitions.split_whitespace().filter(|flag| flag.starts_with("-D")).map(str::to_owned));
        Ok(Self { apxs, release_header, flags })
    }
}

const INSTALL: &str = "\ninstall apache2-dev (Debian, Ubuntu) or httpd-devel (Red Hat, Fedora), or let the environment \
                       variable APXS name the apxs of the httpd to build for";

fn find_apxs() -> Result<PathBuf, String> {
    if let Some(apxs) = env::var_os("APXS").filter(|value| !value.is_empty()) {
        return Ok(apxs.into());
    }
    // Red Hat once had it among the tools of the administrator, which are not on every PATH.
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/usr/local/sbin");
    env::split_paths(&path)
        .flat_map(|folder| [folder.join("apxs"), folder.join("apxs2")])
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| format!("httpd's apxs is neither on PATH nor named by APXS{INSTALL}"))
}

fn query(apxs: &Path, name: &str) -> Result<String, String> {
    let output = Command::new(apxs)
        .args(["-q", name])
        .output()
        .map_err(|error| format!("{} cannot be run: {error}{INSTALL}", apxs.display()))?;
    if !output.status.success() {
        return Err(format!(
            "`{} -q {name}` failed: {}{INSTALL}",
            apxs.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
