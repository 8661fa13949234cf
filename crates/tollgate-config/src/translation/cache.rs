//! What a translation needs again and again, looked up once.

use std::{
    any::{Any, TypeId},
    cell::{OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
};

use tollgate_ir::ServerValidation;
use tollgate_model::{
    cluster::Endpoint,
    tls::{TrustAnchors, TrustSource},
};

use super::{
    CertificateError, Translator,
    certificates::{Authorities, CertificateKind},
};
use crate::kubernetes::{ObjectKey, ObjectRef};

/// Endpoints of a Service by the number of its port.
type OfPorts = HashMap<u16, Arc<[Endpoint]>>;

/// What was looked up so far.
#[derive(Default)]
pub(super) struct Cache {
    /// Endpoints of Services, by their ports.
    pub(super) endpoints: RefCell<HashMap<ObjectKey, OfPorts>>,
    /// What certificates with keys are called, by their Secrets.
    pub(super) certificates: RefCell<HashMap<ObjectKey, Result<String, CertificateError>>>,
    /// Certificates of authorities, by their objects.
    pub(super) authorities:
        RefCell<HashMap<(CertificateKind, ObjectKey), Result<Authorities, CertificateError>>>,
    /// What BackendTLSPolicies ask of servers.
    pub(super) validations: RefCell<HashMap<ObjectRef, Result<ServerValidation, String>>>,
    /// The certificates that the operating system trusts.
    system: OnceCell<Option<Authorities>>,
    /// What systems look up, by its type.
    others: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
}

impl Translator<'_> {
    /// The certificates that the operating system trusts; `None` = none can be used.
    pub(crate) fn system_authorities(&self) -> Option<Authorities> {
        let anchors = self.cache.system.get_or_init(|| {
            let anchors = TrustAnchors::from_usable(self.files.system_roots()).ok()?;
            Some(Authorities::of_system(anchors.with_source(TrustSource::System)))
        });
        anchors.clone()
    }

    /// Something that a system makes of the objects, made when it is first needed. There is one of each type.
    pub(crate) fn once<T: 'static>(&self, make: impl FnOnce() -> T) -> Rc<T> {
        let known = self.cache.others.borrow().get(&TypeId::of::<T>()).cloned();
        if let Some(known) = known.and_then(|known| known.downcast().ok()) {
            return known;
        }
        let made = Rc::new(make());
        let kept: Rc<dyn Any> = Rc::clone(&made) as Rc<dyn Any>;
        self.cache.others.borrow_mut().insert(TypeId::of::<T>(), kept);
        made
    }
}
