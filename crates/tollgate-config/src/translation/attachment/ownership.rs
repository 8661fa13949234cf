//! Which Gateways are ours (CF-17, CF-19). Objects come from files alone, where no other controller writes statuses: what is
//! claimed need not be less than what is understood (CF-18).

use std::sync::Arc;

use super::Problem;
use crate::{
    gateway_api::{self, GatewayClass, GatewaySpec, ParametersRef},
    kubernetes::{Object, ObjectKey},
    translation::{Controller, GatewaySettings, Translator},
};

/// The classes and who looks after them.
pub(in crate::translation) struct Classes<'a> {
    objects: &'a gateway_api::Objects,
    /// Controllers by the names that they claim.
    controllers: Vec<(String, &'static Controller)>,
}

/// A class of ours and how it fares.
pub(in crate::translation) struct ClassReport<'a> {
    pub(in crate::translation) object: &'a Arc<Object<GatewayClass>>,
    pub(in crate::translation) controller: &'static Controller,
    pub(in crate::translation) refused: Option<Problem>,
}

/// Who looks after a Gateway.
pub(super) struct Owner<'a> {
    pub(super) controller: &'static Controller,
    pub(super) controller_name: String,
    pub(super) class: Option<&'a Arc<Object<GatewayClass>>>,
}

impl<'a> Classes<'a> {
    pub(super) fn new(translator: &Translator<'a>) -> Self {
        let all = || translator.systems.controllers();
        let claimed = all().filter(|controller| controller.claims.is_some());
        let claimed = claimed.map(|controller| (controller.claimed_name(translator), controller));
        // A system is known by its own name, too, whatever it was told to claim.
        let own = all().map(|controller| (controller.name.to_owned(), controller));
        Self { objects: translator.store.of(), controllers: claimed.chain(own).collect() }
    }

    fn controller(&self, name: &str) -> Option<&'static Controller> {
        let found = self.controllers.iter().find(|(claimed, _)| claimed == name);
        found.map(|(_, controller)| *controller)
    }

    /// Who looks after a Gateway; `None` = somebody else.
    pub(super) fn owner(
        &self,
        gateway: &Object<GatewaySpec>,
        translator: &Translator<'a>,
    ) -> Option<Owner<'a>> {
        let name = &gateway.spec.class;
        let place = &gateway.spec.class_place;
        if let Some(class) = self.objects.gateway_classes.get(&ObjectKey::new("", &**name)) {
            let controller_name = class.spec.controller_name.clone();
            let Some(controller) = self.controller(&controller_name) else {
                let message =
                    format!("{} belongs to another controller, \"{controller_name}\"", gateway.reference());
                translator.diagnostics.warning(place, message, None);
                return None;
            };
            return Some(Owner { controller, controller_name, class: Some(class) });
        }
        // The system of a class whose object is not in the input, by its usual name.
        let mut controllers = translator.systems.controllers();
        let usual = controllers.find(|controller| controller.classes.contains(&&**name));
        let controller = usual.unwrap_or_else(|| {
            let message = format!(
                "there is no GatewayClass \"{name}\": Tollgate's own defaults apply to {}",
                gateway.reference()
            );
            let help = "add the GatewayClass, so that the rules of its controller apply".to_owned();
            translator.diagnostics.warning(place, message, Some(help));
            translator.systems.otherwise
        });
        let claimed = self.controllers.iter().find(|(_, known)| known.is(controller));
        let controller_name = claimed.map_or(controller.name, |(name, _)| name).to_owned();
        Some(Owner { controller, controller_name, class: None })
    }

    /// Every class of ours.
    pub(super) fn reports(&self, translator: &Translator<'a>) -> Vec<ClassReport<'a>> {
        let classes = self.objects.gateway_classes.iter();
        let reports = classes.filter_map(|object| {
            let controller = self.controller(&object.spec.controller_name)?;
            let refused = match object.errors.first() {
                Some(error) => Some(Problem::new("Unsupported", error.clone())),
                None => settings(translator, controller, object.spec.parameters.as_ref(), None).err(),
            };
            Some(ClassReport { object, controller, refused })
        });
        reports.collect()
    }
}

/// The settings that a class and a Gateway refer to.
pub(super) fn settings(
    translator: &Translator<'_>,
    controller: &Controller,
    of_class: Option<&ParametersRef>,
    of_gateway: Option<&ParametersRef>,
) -> Result<GatewaySettings, Problem> {
    match of_gateway.or(of_class) {
        Some(chosen) => (controller.parameters)(translator, chosen),
        None => Ok(GatewaySettings::default()),
    }
}

/// Whether the gateways of a class share their ports: only the parameters of the class can say that.
pub(super) fn merges(
    translator: &Translator<'_>,
    controller: &Controller,
    of_class: Option<&ParametersRef>,
) -> bool {
    of_class.is_some_and(|_| {
        settings(translator, controller, of_class, None).is_ok_and(|found| found.merge_gateways)
    })
}
