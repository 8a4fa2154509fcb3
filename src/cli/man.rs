//! `quorate man`: manual pages, made from the definition of the command line.

use super::{CliError, Context};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for one page per command; without it, the page of quorate itself is printed
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: &ManArgs) -> Result<(), CliError> {
    let definition = super::definition();
    if let Some(folder) = &args.folder {
        std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(definition, folder))
            .map_err(|source| CliError::write(folder, source))?;
        context.ui.say(format_args!("wrote the manual pages to {}", crate::ui::shown_path(folder)));
        return Ok(());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(definition).render(&mut page).expect("writing to memory cannot fail");
    Ok(context.ui.raw_data(&page)?)
}
