//! The machines of one worker.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    rc::Rc,
    sync::{Arc, Weak},
};

use crate::{LoadError, Machine};

/// Who has the script, and the machine or why there is none.
type Known<S> = (Weak<S>, Result<Rc<Machine>, LoadError>);

/// The machines of one worker, one for each script. What scripts keep in global variables lives as long as the script is
/// configured.
pub struct Machines<S> {
    known: RefCell<HashMap<usize, Known<S>>>,
}

impl<S> Machines<S> {
    /// The machine of a script; `load` makes it when it is asked for first.
    ///
    /// # Errors
    /// Those of `load`, every time.
    pub fn get(
        &self,
        script: &Arc<S>,
        load: impl FnOnce() -> Result<Machine, LoadError>,
    ) -> Result<Rc<Machine>, LoadError> {
        let key = Arc::as_ptr(script).addr();
        let mut known = self.known.borrow_mut();
        if let Some((owner, machine)) = known.get(&key)
            && std::ptr::eq(owner.as_ptr(), Arc::as_ptr(script))
            && owner.strong_count() > 0
        {
            return machine.clone();
        }
        // A configuration has come: machines of scripts that nobody has any more end.
        known.retain(|_, (owner, _)| owner.strong_count() > 0);
        let machine = load().map(Rc::new);
        known.insert(key, (Arc::downgrade(script), machine.clone()));
        machine
    }
}

impl<S> Default for Machines<S> {
    fn default() -> Self {
        Self { known: RefCell::default() }
    }
}

impl<S> fmt::Debug for Machines<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machines").finish_non_exhaustive()
    }
}
