use std::error::Error;
use std::fmt;

/// What a failure means for whoever called the port. The cause stays in the error's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It may pass by itself: start over with a back-off. Nothing was half done that the next start would not see.
    Retry,
    /// It is not known whether the effect took place: throw the connection away, and read again what is there.
    Ambiguous,
    /// Another owner has taken over; this one must stop and may apply for ownership again.
    Fenced,
    /// A person must act. Starting again without a change gives the same failure.
    Refused,
}

/// A failed call of a port: what was attempted, on which object, why it failed, and what to do next.
#[derive(Debug)]
pub struct PortError {
    kind: ErrorKind,
    attempt: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortError {
    /// An error of this kind; `attempt` names what failed and on which object, as in
    /// `reading slot debezium_slot_users`.
    pub fn new(kind: ErrorKind, attempt: impl Into<String>) -> Self {
        Self { kind, attempt: attempt.into(), hint: None, source: None }
    }

    /// Keeps the cause in the chain.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what to do next: a sentence, a command or a statement to paste.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure, with another meaning for the caller.
    #[must_use]
    pub fn with_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// What the failure means for the caller.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do next, if it is known.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The whole chain and the next step in one text, for a status or a log line.
    pub fn report(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        if let Some(hint) = &self.hint {
            text.push_str("; ");
            text.push_str(hint);
        }
        text
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attempt)
    }
}

impl Error for PortError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|error| error as &(dyn Error + 'static))
    }
}
