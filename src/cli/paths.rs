//! Where a person's files live, after the XDG base directory specification. It must not know what is in them.

use super::CliError;
use etcetera::BaseStrategy as _;
use std::path::PathBuf;

/// The folders of this program; none of them need exist.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    config: PathBuf,
    data: PathBuf,
    runtime: Option<PathBuf>,
    state: PathBuf,
}

impl Paths {
    /// Reads `XDG_CONFIG_HOME`, `XDG_DATA_HOME`, `XDG_RUNTIME_DIR`, `XDG_STATE_HOME` and `HOME`.
    pub(crate) fn find() -> Result<Self, CliError> {
        let base = etcetera::base_strategy::Xdg::new().map_err(|_| CliError::NoHome)?;
        let state = base.state_dir().unwrap_or_else(|| base.home_dir().join(".local/state"));
        Ok(Self {
            config: base.config_dir().join("quorate"),
            data: base.data_dir().join("quorate"),
            runtime: base.runtime_dir().map(|dir| dir.join("quorate")),
            state: state.join("quorate"),
        })
    }

    /// `$XDG_CONFIG_HOME/quorate/identities`: a file or folder of age identities and soft tokens.
    pub(crate) fn identities(&self) -> PathBuf {
        self.config.join("identities")
    }

    /// `$XDG_CONFIG_HOME/quorate/oracles.toml`: the oracles that this person trusts.
    pub(crate) fn oracles(&self) -> PathBuf {
        self.config.join("oracles.toml")
    }

    /// `$XDG_DATA_HOME/quorate/tocs`: filed Tocs, a folder per group.
    pub(crate) fn tocs(&self) -> PathBuf {
        self.data.join("tocs")
    }

    /// `$XDG_STATE_HOME/quorate/tickets`: what this person is logged in with.
    pub(crate) fn tickets(&self) -> PathBuf {
        self.state.join("tickets")
    }

    /// `$XDG_RUNTIME_DIR/quorate/sessions`, gone when the person logs out; `$XDG_STATE_HOME/quorate/sessions` without one.
    pub(crate) fn sessions(&self) -> PathBuf {
        self.runtime.as_ref().unwrap_or(&self.state).join("sessions")
    }
}
