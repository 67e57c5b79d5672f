//! The list of all metrics, and how each is made of a status. docs/metrics.md is held against it.

use crate::core::state::State;
use crate::protocol::status::{ConfigState, RunStatus, ServiceStatus, SocketStatus, Status};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::Duration;

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, as long as the supervisor knows the service: over restarts, reloads and upgrades.
    Counter,
    /// It is what it is now.
    Gauge,
    /// Its labels are what it says.
    Info,
}

/// One family of numbers.
pub struct Metric {
    /// Its name, without unit and suffix.
    name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    unit: Option<Unit>,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    samples: fn(&Status) -> Vec<Sample<'_>>,
}

/// A number, and the values of its labels in their order.
struct Sample<'a>(Vec<&'a str>, Value);

#[derive(Clone, Copy)]
enum Value {
    Whole(u64),
    Seconds(Duration),
}

impl Metric {
    /// Its name on the line of a sample.
    pub fn sample_name(&self) -> String {
        let unit = self.unit.as_ref().map_or_else(String::new, |unit| format!("_{}", unit.as_str()));
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge => "",
            Kind::Info => "_info",
        };
        format!("{}{unit}{suffix}", self.name)
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>, status: &Status) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Info => MetricType::Info,
        };
        let mut family = encoder.encode_descriptor(self.name, self.help, self.unit.as_ref(), kind)?;
        for Sample(values, value) in (self.samples)(status) {
            let labels: Vec<(&str, &str)> = self.labels.iter().copied().zip(values).collect();
            self.encode_sample(&mut family, &labels, value)?;
        }
        Ok(())
    }

    fn encode_sample(
        &self,
        family: &mut MetricEncoder<'_>,
        labels: &Vec<(&str, &str)>,
        value: Value,
    ) -> fmt::Result {
        match (self.kind, value) {
            (Kind::Info, _) => family.encode_info(labels),
            (Kind::Gauge, Value::Whole(value)) => of(family, labels)?.encode_gauge(&value),
            (Kind::Gauge, Value::Seconds(value)) => of(family, labels)?.encode_gauge(&value.as_secs_f64()),
            (Kind::Counter, Value::Whole(value)) => {
                of(family, labels)?.encode_counter::<NoLabelSet, u64, f64>(&value, None)
            }
            (Kind::Counter, Value::Seconds(value)) => {
                of(family, labels)?.encode_counter::<NoLabelSet, f64, f64>(&value.as_secs_f64(), None)
            }
        }
    }
}

/// The encoder for one sample. A family without labels has none to write.
fn of<'a>(
    family: &'a mut MetricEncoder<'_>,
    labels: &'a Vec<(&str, &str)>,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    family.encode_family(labels)
}

/// The numbers of a status, as OpenMetrics text with its end.
pub(super) fn text(status: Status) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Known(status)));
    let mut text = String::new();
    text::encode(&mut text, &registry).expect("a String takes everything");
    text
}

/// A status that is to be told in numbers.
#[derive(Debug)]
struct Known(Status);

impl Collector for Known {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        METRICS.iter().try_for_each(|metric| metric.encode(&mut encoder, &self.0))
    }
}

/// All of them.
pub const METRICS: [Metric; 25] = [
    Metric {
        name: "bootstrap",
        kind: Kind::Info,
        unit: None,
        labels: &["version"],
        help: "The version of the supervisor.",
        samples: |status| vec![Sample(vec![&status.supervisor.program], Value::Whole(1))],
    },
    Metric {
        name: "bootstrap_supervisor_uptime",
        kind: Kind::Gauge,
        unit: Some(Unit::Seconds),
        labels: &[],
        help: "How long the supervisor has been there.",
        samples: |status| alone(Some(ms(status.supervisor.uptime_ms))),
    },
    Metric {
        name: "bootstrap_supervisor_resident_memory",
        kind: Kind::Gauge,
        unit: Some(Unit::Bytes),
        labels: &[],
        help: "Memory of the supervisor (RSS).",
        samples: |status| alone(status.supervisor.usage.resident_bytes.map(Value::Whole)),
    },
    Metric {
        name: "bootstrap_supervisor_proportional_memory",
        kind: Kind::Gauge,
        unit: Some(Unit::Bytes),
        labels: &[],
        help: "Memory of the supervisor, with its part only of what it shares with others (PSS).",
        samples: |status| alone(status.supervisor.usage.proportional_bytes.map(Value::Whole)),
    },
    Metric {
        name: "bootstrap_supervisor_descriptors",
        kind: Kind::Gauge,
        unit: None,
        labels: &[],
        help: "Descriptors that the supervisor has open.",
        samples: |status| alone(status.supervisor.usage.descriptors.map(Value::Whole)),
    },
    Metric {
        name: "bootstrap_supervisor_descriptor_limit",
        kind: Kind::Gauge,
        unit: None,
        labels: &[],
        help: "How many descriptors the supervisor may have open.",
        samples: |status| alone(status.supervisor.usage.descriptor_limit.map(Value::Whole)),
    },
    Metric {
        name: "bootstrap_config_state",
        kind: Kind::Gauge,
        unit: None,
        labels: &["state"],
        help: "1 for what the config file is: applied, changed or broken.",
        samples: |status| {
            let words = [
                ("applied", ConfigState::Applied),
                ("changed", ConfigState::Changed),
                ("broken", ConfigState::Broken),
            ];
            let is = |state| flag(state == status.supervisor.config_state);
            words.into_iter().map(|(word, state)| Sample(vec![word], is(state))).collect()
        },
    },
    Metric {
        name: "bootstrap_services",
        kind: Kind::Gauge,
        unit: None,
        labels: &[],
        help: "Services of the config that runs.",
        samples: |status| alone(Some(count(status.supervisor.services))),
    },
    Metric {
        name: "bootstrap_services_up",
        kind: Kind::Gauge,
        unit: None,
        labels: &[],
        help: "Services of which each worker serves.",
        samples: |status| alone(Some(count(status.supervisor.up))),
    },
    Metric {
        name: "bootstrap_service_up",
        kind: Kind::Gauge,
        unit: None,
        labels: OF_SERVICE,
        help: "1 if each worker of the service serves.",
        samples: |status| each(status, |service| Some(flag(service.uptime_ms.is_some()))),
    },
    Metric {
        name: "bootstrap_service_state",
        kind: Kind::Gauge,
        unit: None,
        labels: &["service", "state"],
        help: "1 for the state that the service is in.",
        samples: |status| {
            let states =
                |service: &ServiceStatus| State::WORDS.map(|word| (word, flag(word == service.state)));
            several(status, |service| states(service).to_vec())
        },
    },
    Metric {
        name: "bootstrap_service_stale",
        kind: Kind::Gauge,
        unit: None,
        labels: OF_SERVICE,
        help: "1 if what runs is not what the config file says.",
        samples: |status| each(status, |service| Some(flag(service.stale.is_some()))),
    },
    Metric {
        name: "bootstrap_service_generation",
        kind: Kind::Gauge,
        unit: None,
        labels: OF_SERVICE,
        help: "The newest generation of the service.",
        samples: |status| {
            each(status, |service| service.generation.map(|number| Value::Whole(number.into())))
        },
    },
    Metric {
        name: "bootstrap_service_workers",
        kind: Kind::Gauge,
        unit: None,
        labels: OF_SERVICE,
        help: "Workers that the service is to have.",
        samples: |status| each(status, |service| Some(Value::Whole(service.workers.into()))),
    },
    Metric {
        name: "bootstrap_service_workers_serving",
        kind: Kind::Gauge,
        unit: None,
        labels: OF_SERVICE,
        help: "Workers of the service that serve.",
        samples: |status| each(status, |service| Some(runs(service, |run| run.serves))),
    },
    Metric {
        name: "bootstrap_service_workers_unhealthy",
        kind: Kind::Gauge,
        unit: None,
        labels: OF_SERVICE,
        help: "Workers of the service whose check or watchdog says that they are sick.",
        samples: |status| each(status, |service| Some(runs(service, |run| run.unhealthy.is_some()))),
    },
    Metric {
        name: "bootstrap_service_restarts",
        kind: Kind::Counter,
        unit: None,
        labels: &["service", "reason"],
        help: "Starts of a worker after an earlier one: asked, crash, unhealthy or rollback.",
        samples: |status| {
            several(status, |ServiceStatus { restarts: all, .. }| {
                let (asked, crash) = (("asked", all.asked), ("crash", all.crash));
                let reasons = [asked, crash, ("unhealthy", all.unhealthy), ("rollback", all.rollback)];
                reasons.map(|(reason, times)| (reason, Value::Whole(times))).to_vec()
            })
        },
    },
    Metric {
        name: "bootstrap_service_failed_restarts",
        kind: Kind::Counter,
        unit: None,
        labels: OF_SERVICE,
        help: "Restarts that were asked for, or that a sick process had, and did not end with the new generation serving.",
        samples: |status| each(status, |service| Some(Value::Whole(service.restarts.failed))),
    },
    Metric {
        name: "bootstrap_service_ready",
        kind: Kind::Gauge,
        unit: Some(Unit::Seconds),
        labels: OF_SERVICE,
        help: "How long the last process that became ready took.",
        samples: |status| each(status, |service| service.ready_ms.map(ms)),
    },
    Metric {
        name: "bootstrap_service_uptime",
        kind: Kind::Gauge,
        unit: Some(Unit::Seconds),
        labels: OF_SERVICE,
        help: "The age of the youngest worker, if each serves.",
        samples: |status| each(status, |service| service.uptime_ms.map(ms)),
    },
    Metric {
        name: "bootstrap_service_draining",
        kind: Kind::Gauge,
        unit: None,
        labels: OF_SERVICE,
        help: "Generations that were asked to leave and have not ended.",
        samples: |status| each(status, |service| Some(count(service.draining.len()))),
    },
    Metric {
        name: "bootstrap_service_listener_repairs",
        kind: Kind::Counter,
        unit: None,
        labels: OF_SERVICE,
        help: "Sockets that a server had harmed and that were repaired.",
        samples: |status| each(status, |service| Some(Value::Whole(service.repairs))),
    },
    Metric {
        name: "bootstrap_service_last_exit",
        kind: Kind::Gauge,
        unit: None,
        labels: OF_SERVICE,
        help: "How the last process that has ended did: its exit code, or 128 and the signal.",
        samples: |status| each(status, last_exit),
    },
    Metric {
        name: "bootstrap_listener_queue",
        kind: Kind::Gauge,
        unit: None,
        labels: OF_LISTENER,
        help: "Clients that wait to be accepted.",
        samples: |status| sockets(status, |socket| socket.waiting),
    },
    Metric {
        name: "bootstrap_listener_queue_limit",
        kind: Kind::Gauge,
        unit: None,
        labels: OF_LISTENER,
        help: "How many clients may wait to be accepted.",
        samples: |status| sockets(status, |socket| socket.limit),
    },
];

const OF_SERVICE: &[&str] = &["service"];

const OF_LISTENER: &[&str] = &["service", "address"];

fn flag(is: bool) -> Value {
    Value::Whole(is.into())
}

fn count(of: usize) -> Value {
    Value::Whole(u64::try_from(of).unwrap_or(u64::MAX))
}

/// How many of the runs that nobody asked to leave are so.
fn runs(service: &ServiceStatus, are: impl Fn(&RunStatus) -> bool) -> Value {
    count(service.runs.iter().filter(|run| are(run)).count())
}

fn ms(ms: u64) -> Value {
    Value::Seconds(Duration::from_millis(ms))
}

fn last_exit(service: &ServiceStatus) -> Option<Value> {
    let exit = service.last_exit.as_ref()?;
    let number = exit.code.or(exit.signal.map(|signal| 128 + signal))?;
    u64::try_from(number).ok().map(Value::Whole)
}

/// What has no label.
fn alone(value: Option<Value>) -> Vec<Sample<'static>> {
    value.map(|value| Sample(Vec::new(), value)).into_iter().collect()
}

/// One for each service that has it.
fn each(status: &Status, value: impl Fn(&ServiceStatus) -> Option<Value>) -> Vec<Sample<'_>> {
    let sample = |service| value(service).map(|value| Sample(vec![&*service.name], value));
    status.services.iter().filter_map(sample).collect()
}

/// Some for each service, told apart by another label.
fn several(
    status: &Status,
    values: impl Fn(&ServiceStatus) -> Vec<(&'static str, Value)>,
) -> Vec<Sample<'_>> {
    let of = |service| {
        let samples = values(service).into_iter();
        samples.map(|(label, value)| Sample(vec![&*service.name, label], value))
    };
    status.services.iter().flat_map(of).collect()
}

/// One for each socket that has it.
fn sockets(status: &Status, value: impl Fn(&SocketStatus) -> Option<u32>) -> Vec<Sample<'_>> {
    let all = status.services.iter().flat_map(|service| service.sockets.iter().map(move |it| (service, it)));
    all.filter_map(|(service, socket)| {
        Some(Sample(vec![&*service.name, &*socket.address], Value::Whole(value(socket)?.into())))
    })
    .collect()
}
