//! Writes the seeds of each target to the folder where `cargo fuzz` looks for them, `corpus/TARGET` beside this package's
//! manifest. What a fuzzer has added there stays.

use std::path::Path;
use std::{fs, io};

use oxwsgi_fuzz::seeds;

fn main() -> io::Result<()> {
    for (target, make) in seeds::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        for (number, seed) in make().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
