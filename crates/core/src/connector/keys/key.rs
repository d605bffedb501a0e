//! One key of a connector configuration, declared once: what is read, validated, documented and told by REST.

/// A key of a connector configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// The key.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Type,
    /// True if a configuration without it is refused by every kind of worker.
    pub required: bool,
    /// What the reference takes for it if it is absent; none for null.
    pub default: Option<&'static str>,
    /// What an absent key comes to, where that is not its default: Kafka Connect falls back to its own settings.
    pub(super) absent: Option<&'static str>,
    /// How much it matters.
    pub importance: Importance,
    /// How wide a form shows it.
    pub width: Width,
    /// Its name for people.
    pub display_name: &'static str,
    /// What it is for.
    pub documentation: &'static str,
    /// Keys that a form shows with this one.
    pub dependents: &'static [&'static str],
    /// What the native worker makes of it.
    pub served: Served,
}

/// Types, as Kafka's `ConfigDef` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Boolean,
    /// A Java class.
    Class,
    /// 32 bits.
    Int,
    /// Texts, separated by commas.
    List,
    /// 64 bits.
    Long,
    /// A text that is never shown.
    Password,
    /// 16 bits.
    Short,
    /// A text.
    String,
}

/// How much a key matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// It has to be thought about.
    High,
    /// It may have to be.
    Medium,
    /// It can be left alone.
    Low,
}

/// How wide a form shows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Not said.
    None,
    /// A number.
    Short,
    /// A name.
    Medium,
    /// A sentence.
    Long,
}

/// What the native worker makes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It is read; the values that it takes are checked where it is.
    Read,
    /// These values are served.
    Only(&'static [&'static str]),
    /// It only tunes a JVM, or has no other outcome here: it is taken note of and left alone.
    Ignored,
    /// Nothing but its default is served.
    Default,
}

impl ConfigKey {
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) const fn default(self, value: &'static str) -> Self {
        Self { default: Some(value), ..self }
    }

    pub(super) const fn absent(self, value: &'static str) -> Self {
        Self { absent: Some(value), ..self }
    }

    pub(super) const fn dependents(self, keys: &'static [&'static str]) -> Self {
        Self { dependents: keys, ..self }
    }

    pub(super) const fn read(self) -> Self {
        Self { served: Served::Read, ..self }
    }

    pub(super) const fn only(self, values: &'static [&'static str]) -> Self {
        Self { served: Served::Only(values), ..self }
    }

    pub(super) const fn ignored(self) -> Self {
        Self { served: Served::Ignored, ..self }
    }

    /// What a configuration without the key comes to; none if nothing is known of it.
    pub fn without(&self) -> Option<&'static str> {
        self.absent.or(self.default)
    }
}

pub(super) const fn key(
    name: &'static str,
    kind: Type,
    importance: Importance,
    width: Width,
    display_name: &'static str,
    documentation: &'static str,
) -> ConfigKey {
    ConfigKey {
        name,
        kind,
        required: false,
        default: None,
        absent: None,
        importance,
        width,
        display_name,
        documentation,
        dependents: &[],
        served: Served::Default,
    }
}

impl Type {
    /// As `ConfigDef` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Class => "CLASS",
            Self::Int => "INT",
            Self::List => "LIST",
            Self::Long => "LONG",
            Self::Password => "PASSWORD",
            Self::Short => "SHORT",
            Self::String => "STRING",
        }
    }
}

impl Importance {
    /// As `ConfigDef` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

impl Width {
    /// As `ConfigDef` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
}
