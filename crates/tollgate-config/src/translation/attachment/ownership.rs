//! Which Gateways are ours (CF-17, CF-19). Objects come from files alone, where no other controller writes statuses: what is
//! claimed need not be less than what is understood (CF-18).

use std::rc::Rc;

use super::Problem;
use crate::{
    envoy_gateway::{Configuration, GatewaySettings},
    gateway_api::{GatewayClass, GatewaySpec, ParametersRef},
    kubernetes::{Object, ObjectKey},
    translation::{Controller, Translator},
};

/// The classes and who looks after them.
pub(in crate::translation) struct Classes<'a> {
    resources: &'a crate::kubernetes::Resources,
    /// The name that is claimed for Envoy Gateway.
    envoy_gateway: String,
}

/// A class of ours and how it fares.
pub(in crate::translation) struct ClassReport<'a> {
    pub(in crate::translation) object: &'a Rc<Object<GatewayClass>>,
    pub(in crate::translation) controller: Controller,
    pub(in crate::translation) refused: Option<Problem>,
}

/// Who looks after a Gateway.
pub(super) struct Owner<'a> {
    pub(super) controller: Controller,
    pub(super) controller_name: String,
    pub(super) class: Option<&'a Rc<Object<GatewayClass>>>,
}

impl<'a> Classes<'a> {
    pub(super) fn new(translator: &Translator<'a>, configuration: &Configuration) -> Self {
        Self { resources: translator.resources, envoy_gateway: configuration.controller_name.clone() }
    }

    fn controller(&self, name: &str) -> Option<Controller> {
        if name == self.envoy_gateway { Some(Controller::EnvoyGateway) } else { Controller::from_name(name) }
    }

    /// Who looks after a Gateway; `None` = somebody else.
    pub(super) fn owner(
        &self,
        gateway: &Object<GatewaySpec>,
        translator: &Translator<'a>,
    ) -> Option<Owner<'a>> {
        let name = &gateway.spec.class;
        let place = &gateway.spec.class_place;
        if let Some(class) = self.resources.gateway_api.gateway_classes.get(&ObjectKey::new("", &**name)) {
            let controller_name = class.spec.controller_name.clone();
            let Some(controller) = self.controller(&controller_name) else {
                let message =
                    format!("{} belongs to another controller, \"{controller_name}\"", gateway.reference());
                translator.diagnostics.warning(place, message, None);
                return None;
            };
            return Some(Owner { controller, controller_name, class: Some(class) });
        }
        let controller = Controller::from_class_name(name).unwrap_or_else(|| {
            let message = format!(
                "there is no GatewayClass \"{name}\": Tollgate's own defaults apply to {}",
                gateway.reference()
            );
            let help = "add the GatewayClass, so that the rules of its controller apply".to_owned();
            translator.diagnostics.warning(place, message, Some(help));
            Controller::Tollgate
        });
        let controller_name = match controller {
            Controller::EnvoyGateway => self.envoy_gateway.clone(),
            other => other.name().to_owned(),
        };
        Some(Owner { controller, controller_name, class: None })
    }

    /// Every class of ours.
    pub(super) fn reports(&self, translator: &Translator<'a>) -> Vec<ClassReport<'a>> {
        let classes = self.resources.gateway_api.gateway_classes.iter();
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
    controller: Controller,
    of_class: Option<&ParametersRef>,
    of_gateway: Option<&ParametersRef>,
) -> Result<GatewaySettings, Problem> {
    let Some(chosen) = of_gateway.or(of_class) else { return Ok(GatewaySettings::DEFAULT) };
    match controller {
        Controller::EnvoyGateway => {
            GatewaySettings::by_parameters(translator, &chosen.object).map_err(|error| {
                translator.diagnostics.error(&chosen.place, error.to_string(), None);
                Problem::new("InvalidParameters", error.to_string())
            })
        }
        Controller::Tollgate => {
            let message = format!("{} is not supported: Tollgate reads no parameters", chosen.object);
            translator.diagnostics.error(&chosen.place, message.clone(), None);
            Err(Problem::new("InvalidParameters", message))
        }
        Controller::Kgateway | Controller::Istio => {
            let message = format!("{} is not read: its settings have no effect", chosen.object);
            translator.diagnostics.warning(&chosen.place, message, None);
            Ok(GatewaySettings::DEFAULT)
        }
    }
}

/// Whether the gateways of a class share their ports: only the EnvoyProxy of the class can say that.
pub(super) fn merges(
    translator: &Translator<'_>,
    controller: Controller,
    of_class: Option<&ParametersRef>,
) -> bool {
    let settings = of_class.filter(|_| controller == Controller::EnvoyGateway);
    let settings =
        settings.and_then(|chosen| GatewaySettings::by_parameters(translator, &chosen.object).ok());
    settings.is_some_and(|settings| settings.merge_gateways)
}
