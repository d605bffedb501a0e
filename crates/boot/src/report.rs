//! Errors as a person reads them: what, why, and what to do next; all at once.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;

use datapipe_core::plan::Problems;
use datapipe_core::port::PortError;

use crate::exit::Exit;

/// Writes a command's result to standard output, and says how it ended. A reader that has seen enough, as `| head`, is no
/// failure.
pub fn result(text: &str) -> Exit {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Exit::Healthy,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Healthy,
        Err(failed) => {
            print(&error(&failed));
            Exit::Failed
        }
    }
}

/// The text of a list of problems, under a headline.
pub fn problems(headline: &str, problems: &Problems) -> String {
    let mut text = format!("error: {headline}\n");
    for problem in &problems.0 {
        let _ = writeln!(text, "\n  {}: {}", problem.object, problem.what);
        if !problem.why.is_empty() {
            let _ = writeln!(text, "    why: {}", problem.why);
        }
        let _ = writeln!(text, "    fix: {}", problem.fix);
    }
    text
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(link) = cause {
        let _ = write!(text, ": {link}");
        cause = link.source();
    }
    text
}

/// The text of an error with its causes, and the next step if one is known.
pub fn error(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("error: {error}\n");
    let mut hint = None;
    let mut current = Some(error);
    while let Some(link) = current {
        if let Some(port) = link.downcast_ref::<PortError>() {
            hint = hint.or(port.next_step());
        }
        current = link.source();
        if let Some(cause) = current {
            let _ = writeln!(text, "  because: {cause}");
        }
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "  fix: {hint}");
    }
    text
}

/// Writes to standard error. There is nobody to tell if that fails.
pub fn print(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use datapipe_core::plan::Problem;
    use datapipe_core::port::ErrorKind;

    use super::*;

    #[test]
    fn all_problems_with_their_remedies() {
        let list = Problems(vec![
            Problem::new("a.b", "is wrong", "mend it").because("it matters"),
            Problem::new("c", "d", "e"),
        ]);
        let expected =
            "error: 2 problems\n\n  a.b: is wrong\n    why: it matters\n    fix: mend it\n\n  c: d\n    fix: e\n";
        assert_eq!(problems("2 problems", &list), expected);
    }

    #[test]
    fn the_chain_and_the_next_step() {
        let cause = std::io::Error::other("refused");
        let failure = PortError::new(ErrorKind::Retry, "connecting to db:5432").because(cause).hint("start the server");
        let expected = "error: connecting to db:5432\n  because: refused\n  fix: start the server\n";
        assert_eq!(error(&failure), expected);
    }
}
