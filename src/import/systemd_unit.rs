//! A unit of systemd as it is read there: the file, then its drop-ins, where an empty value takes back what was said before.

use super::Input;
use super::ini::{Continues, Entry, read};

/// What a unit says.
pub(super) struct Unit<'a> {
    /// The name of its file, such as `web.service`.
    pub(super) name: &'a str,
    /// Section, key and value, in their order.
    pub(super) keys: Vec<(String, String, String)>,
    /// Lines that are neither section nor key.
    pub(super) strange: Vec<String>,
}

/// The units among some files, and the drop-ins (`web.service.d/override.conf`, as `systemctl edit` writes them) whose unit
/// is not among them.
pub(super) fn units(inputs: &[Input]) -> (Vec<Unit<'_>>, Vec<&Input>) {
    let (mut drop_ins, files): (Vec<&Input>, Vec<&Input>) =
        inputs.iter().partition(|input| unit_of(input).is_some());
    drop_ins.sort_by_key(|input| &input.name);
    let mut units: Vec<Unit<'_>> = files.iter().map(|file| Unit::of(file)).collect();
    let mut lost = Vec::new();
    for drop_in in drop_ins {
        match units.iter_mut().find(|unit| Some(unit.name) == unit_of(drop_in)) {
            Some(unit) => unit.hear(&drop_in.text),
            None => lost.push(drop_in),
        }
    }
    (units, lost)
}

/// The unit that a drop-in is for.
fn unit_of(input: &Input) -> Option<&str> {
    let directory = input.directory.rsplit('/').next()?;
    let is_read = input.name.rsplit_once('.').is_some_and(|(_, ending)| ending == "conf");
    directory.strip_suffix(".d").filter(|_| is_read)
}

impl<'a> Unit<'a> {
    fn of(file: &'a Input) -> Self {
        let mut unit = Self { name: &file.name, keys: Vec::new(), strange: Vec::new() };
        unit.hear(&file.text);
        unit
    }

    fn hear(&mut self, text: &str) {
        let mut section = String::new();
        for entry in read(text, Continues::Backslash) {
            match entry {
                Entry::Section(name) => section = name,
                Entry::Strange(text) => self.strange.push(text),
                Entry::Key(key, value) if value.is_empty() => {
                    self.keys.retain(|(of, known, _)| (of, known) != (&section, &key));
                    // Here it is no default that comes back, but a set without anything in it.
                    if key == "CapabilityBoundingSet" {
                        self.keys.push((section.clone(), key, value));
                    }
                }
                Entry::Key(key, value) => self.keys.push((section.clone(), key, value)),
            }
        }
    }
}

/// Does a value have a specifier that stands for something else? `%%` is a percent sign.
pub(super) fn has_specifier(value: &str) -> bool {
    value.replace("%%", "").contains('%')
}

/// A value in which percent signs mean themselves.
pub(super) fn without_specifiers(value: &str) -> String {
    value.replace("%%", "%")
}
