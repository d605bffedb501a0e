//! Exit codes.

use std::process::{ExitCode, Termination};

/// How a program ended.
///
/// | code | name | meaning |
/// |---|---|---|
/// | 0 | [`Exit::Healthy`] | done, or stopped in order by a signal; nothing to report |
/// | 1 | [`Exit::Failed`] | done or broken off, and something is wrong: rows differ, a pipeline failed |
/// | 2 | [`Exit::Changes`] | compared, and there are differences |
/// | 64 | [`Exit::Usage`] | the command line is wrong |
/// | 69 | [`Exit::Unavailable`] | a server that is needed does not answer, or a program is missing |
/// | 70 | [`Exit::Internal`] | datapipe broke a rule of its own: a defect |
/// | 78 | [`Exit::Config`] | settings or declarations are wrong; nothing was started |
/// | 130 | [`Exit::Interrupted`] | stopped in order by a signal before the answer was known |
/// | 130, 143 | | ended at once by a second SIGINT or SIGTERM |
///
/// The codes from 64 on are those of BSD's `sysexits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, nothing to report.
    Healthy,
    /// Something is wrong.
    Failed,
    /// There are differences.
    Changes,
    /// The command line is wrong.
    Usage,
    /// A server or program is missing.
    Unavailable,
    /// A defect.
    Internal,
    /// Settings are wrong.
    Config,
    /// Stopped before the answer was known.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Config => 78,
            Self::Interrupted => 130,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
