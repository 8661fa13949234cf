//! Which clusters and listeners need which other resources.

use std::collections::{BTreeSet, HashMap};

use tollgate_xds::Need;

use super::shelf::Key;

/// What each cluster and listener needs, in both directions.
#[derive(Debug, Default)]
pub(super) struct Users {
    needs: HashMap<Key, BTreeSet<Need>>,
    users: HashMap<Key, BTreeSet<Key>>,
}

impl Users {
    /// This is what one needs from now on; nothing, if it is gone.
    pub(super) fn link(&mut self, user: &Key, needs: BTreeSet<Need>) {
        for need in self.needs.remove(user).unwrap_or_default() {
            let need = (need.kind, need.name);
            if let Some(users) = self.users.get_mut(&need) {
                users.remove(user);
                if users.is_empty() {
                    self.users.remove(&need);
                }
            }
        }
        for need in &needs {
            self.users.entry((need.kind, need.name.clone())).or_default().insert(user.clone());
        }
        if !needs.is_empty() {
            self.needs.insert(user.clone(), needs);
        }
    }

    /// Who needs a resource.
    pub(super) fn of(&self, need: &Key) -> impl Iterator<Item = &Key> {
        self.users.get(need).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use tollgate_xds::Kind;

    use super::*;

    #[test]
    fn what_is_needed_no_more_has_no_users() {
        let (one, two) = ((Kind::Listener, "one".to_owned()), (Kind::Listener, "two".to_owned()));
        let need = |name: &str| Need { kind: Kind::Routes, name: name.to_owned() };
        let users_of = |users: &Users, name: &str| {
            users.of(&(Kind::Routes, name.to_owned())).map(|(_, name)| name.clone()).collect::<Vec<_>>()
        };
        let mut users = Users::default();
        users.link(&one, [need("a"), need("b")].into());
        users.link(&two, [need("b")].into());
        assert_eq!(
            (users_of(&users, "a"), users_of(&users, "b")),
            (vec!["one".to_owned()], vec!["one".to_owned(), "two".to_owned()])
        );
        users.link(&one, [need("a")].into());
        assert_eq!(users_of(&users, "b"), ["two"]);
        users.link(&one, BTreeSet::new());
        users.link(&two, BTreeSet::new());
        assert!(users.needs.is_empty() && users.users.is_empty());
    }
}
