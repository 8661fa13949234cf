//! Which fields of a message are read, and what is said about the others.

/// A message type of the Envoy API, as far as it is known here.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Full name of the type.
    pub(crate) name: &'static str,
    /// Title in the reference where the name alone would not tell two uses apart; normally empty.
    pub(crate) title: &'static str,
    /// The fields there is something to say about.
    pub(crate) fields: &'static [Field],
    /// Further fields that exist in Envoy's API and are refused.
    pub(crate) unsupported: &'static [&'static str],
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    /// Name in snake_case.
    pub(crate) name: &'static str,
    /// What happens to it.
    pub(crate) support: Support,
    /// What it does; why it has no effect; what to use instead.
    pub(crate) note: &'static str,
    /// Value when it is absent, for the documentation.
    pub(crate) default: &'static str,
}

/// What happens to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    /// It is read and works.
    Read,
    /// It would protect or limit something and is not implemented: what sets it is refused, for it must not be left out. In an
    /// Envoy configuration that is the whole of it, in an object what the object is for
    /// ([`refuse_protections`](super::Message::refuse_protections)).
    Protects,
    /// It changes nothing for anyone who sends or answers requests: it is accepted, and said to have no effect.
    Harmless,
    /// It would change what happens, but protects nothing: it is accepted with a warning.
    Unimplemented,
    /// It is a record that the API server keeps about an object; nothing needs to be said about it.
    Bookkeeping,
    /// It is refused.
    Refused,
}

/// A field that works.
pub(crate) const fn read(name: &'static str, default: &'static str, note: &'static str) -> Field {
    Field { name, support: Support::Read, note, default }
}

/// A field that would protect or limit something and is not implemented; `note` says what becomes of what sets it.
pub(crate) const fn protects(name: &'static str, note: &'static str) -> Field {
    Field { name, support: Support::Protects, note, default: "" }
}

/// A field that is accepted although it has no counterpart; `note` says why that changes nothing for anyone.
pub(crate) const fn harmless(name: &'static str, note: &'static str) -> Field {
    Field { name, support: Support::Harmless, note, default: "" }
}

/// A field that is accepted although it is not carried out; `note` says what happens instead.
pub(crate) const fn unimplemented(name: &'static str, note: &'static str) -> Field {
    Field { name, support: Support::Unimplemented, note, default: "" }
}

/// A field that an API server writes and nobody has to act on.
pub(crate) const fn bookkeeping(name: &'static str) -> Field {
    Field { name, support: Support::Bookkeeping, note: "kept by the API server", default: "" }
}

/// A field that is refused; `note` says what to do instead.
pub(crate) const fn refused(name: &'static str, note: &'static str) -> Field {
    Field { name, support: Support::Refused, note, default: "" }
}

impl Schema {
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Every field name that can be written without being unknown.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|field| field.name).chain(self.unsupported.iter().copied())
    }

    /// Names of the fields that are looked at.
    pub(crate) fn read_names(&self) -> impl Iterator<Item = &'static str> {
        let is_read = |field: &&Field| matches!(field.support, Support::Read | Support::Protects);
        self.fields.iter().filter(is_read).map(|field| field.name)
    }

    /// Names of the fields that must not be left out.
    pub(crate) fn protecting_names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().filter(|field| field.support == Support::Protects).map(|field| field.name)
    }
}
