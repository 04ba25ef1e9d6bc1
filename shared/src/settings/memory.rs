//! The settings of namespaces that an instance has read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mneme_model::namespace::Namespace;
use mneme_model::namespace_settings::NamespaceSettings;

/// How many namespaces are remembered. Beyond that, all are forgotten, which bounds the memory at a few MB.
const MAX_NAMESPACES: usize = 10_000;

/// The settings of namespaces, as of one version of all settings.
#[derive(Debug, Default)]
pub(crate) struct SettingsMemory(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    version: u64,
    by_namespace: HashMap<Namespace, NamespaceSettings>,
}

impl SettingsMemory {
    /// The settings of `namespace` as of `version`. `None`: they were not read since that version.
    pub(crate) fn at(&self, version: u64, namespace: &Namespace) -> Option<NamespaceSettings> {
        let remembered = self.lock();
        remembered.by_namespace.get(namespace).filter(|_| remembered.version == version).copied()
    }

    /// The settings of `namespace` as they were last read. They may be out of date.
    pub(crate) fn latest(&self, namespace: &Namespace) -> Option<NamespaceSettings> {
        self.lock().by_namespace.get(namespace).copied()
    }

    /// Remembers the settings of `namespace`, which were read after the counter had `version`. What belongs to an
    /// earlier version is forgotten.
    pub(crate) fn keep(&self, version: u64, namespace: &Namespace, settings: NamespaceSettings) {
        let mut remembered = self.lock();
        if version < remembered.version {
            return;
        }
        if version > remembered.version || remembered.by_namespace.len() >= MAX_NAMESPACES {
            *remembered = Remembered { version, ..Remembered::default() };
        }
        remembered.by_namespace.insert(namespace.clone(), settings);
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_another_version_are_only_the_latest_known() {
        let (memory, namespace) = (SettingsMemory::default(), Namespace::default());
        let strict = NamespaceSettings { threshold: Some(0.99), ..NamespaceSettings::default() };
        assert_eq!((memory.at(0, &namespace), memory.latest(&namespace)), (None, None));
        memory.keep(3, &namespace, strict);
        assert_eq!((memory.at(3, &namespace), memory.at(4, &namespace)), (Some(strict), None));
        assert_eq!(memory.latest(&namespace), Some(strict));
        memory.keep(2, &namespace, NamespaceSettings::default());
        assert_eq!(memory.at(3, &namespace), Some(strict), "an earlier version changes nothing");
        let other = Namespace::try_from("other".to_owned()).unwrap();
        memory.keep(4, &other, strict);
        assert_eq!(memory.latest(&namespace), None);
    }
}
