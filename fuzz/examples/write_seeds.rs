//! Writes the seeds where libFuzzer looks for its corpus: `write_seeds FOLDER`. Run by `make fuzz`.

use std::io::Error;
use std::path::PathBuf;

fn main() -> Result<(), Error> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or_else(|| Error::other("name a folder"))?;
    for (name, _) in quorate_fuzz::TARGETS {
        let corpus = folder.join(name);
        std::fs::create_dir_all(&corpus)?;
        for (number, seed) in quorate_fuzz::seeds(name).iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
