//! Where the lines of an audit log come from: a file, standard input, or an oracle, from which they can be kept in a file. It
//! must not know what stands in them.

use crate::cli::files::NewFile;
use crate::cli::{CliError, Context, NetworkArgs, network};
use crate::client::Client;
use crate::ui::shown_path;
use clap::Args;
use quorate_protocol::audit::export::MAX_LINE;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Which audit log.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// What `quorate-oracle audit export` or --export wrote; - for standard input
    #[arg(value_name = "EXPORT", default_value = "-", conflicts_with = "oracle")]
    file: PathBuf,
    /// Address of an oracle whose log is read with the ticket that `quorate login` left
    #[arg(long, value_name = "URL")]
    oracle: Option<String>,
    /// Write what the oracle shows to a new file too, as JSON lines that can be checked anywhere
    #[arg(long, value_name = "FILE", requires = "oracle")]
    export: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
}

/// An oracle's own log.
pub(super) struct FromOracle<'a> {
    /// Shows the ticket.
    pub client: Client,
    export: Option<&'a Path>,
}

impl Source {
    /// The oracle whose log it is, if it does not come from a file.
    pub(super) fn asked(&self, context: &Context) -> Result<Option<FromOracle<'_>>, CliError> {
        let Some(url) = &self.oracle else { return Ok(None) };
        let client = network::logged_in(context, url, &self.network)?;
        Ok(Some(FromOracle { client, export: self.export.as_deref() }))
    }

    /// Hands over each line, and never one that is longer than any of an export, until `act` breaks off. An oracle is asked
    /// for what comes behind row `after` alone.
    pub(super) fn each_line(
        &self,
        context: &Context,
        after: i64,
        act: impl FnMut(&str) -> Result<ControlFlow<()>, CliError>,
    ) -> Result<(), CliError> {
        if let Some(oracle) = self.asked(context)? {
            return oracle.each_line(context, after, act);
        }
        if self.file == Path::new("-") && io::stdin().is_terminal() {
            context.ui.say("reading from standard input; give a file, or --oracle URL for an oracle's own log");
        }
        each_line_of(&self.file, act)
    }
}

impl FromOracle<'_> {
    fn each_line(
        &self,
        context: &Context,
        after: i64,
        mut act: impl FnMut(&str) -> Result<ControlFlow<()>, CliError>,
    ) -> Result<(), CliError> {
        let mut export = self.export.map(NewFile::begin).transpose()?;
        self.client.audit_lines(after, |line| {
            if let Some(export) = &mut export {
                export.write(line.as_bytes())?;
            }
            act(line)
        })?;
        if let (Some(export), Some(path)) = (export, self.export) {
            export.finish()?;
            context.ui.say(format_args!("the log is in {}", shown_path(path)));
        }
        Ok(())
    }
}

fn each_line_of(path: &Path, mut act: impl FnMut(&str) -> Result<ControlFlow<()>, CliError>) -> Result<(), CliError> {
    let failed = |error| CliError::read(path, error);
    let mut input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).map_err(failed)?))
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(());
        }
        // What is not UTF-8 is no line of an export, and is told as such.
        if act(&String::from_utf8_lossy(&line))?.is_break() {
            return Ok(());
        }
    }
}
