//! Watches user name, password and certificates on disk. Kafka's client reads them only when it is
//! created, so it is created again when they change.

use std::path::{Path, PathBuf};

use perijove_core::settings::{Files, Watch, watch};
use tokio::time::{Duration, sleep};

use crate::config::{self, Kafka};

/// Between two checks of the files when they cannot be watched.
const LOOK: Duration = Duration::from_secs(30);

/// The settings in use, and the files that they came from.
pub(super) struct CredentialWatch {
    configuration: PathBuf,
    /// All that the configuration was read from.
    files: Files,
    /// Those that Kafka's client reads by itself.
    certificates: Files,
    watch: Option<Watch>,
    kafka: Kafka,
}

impl CredentialWatch {
    /// `files` are those that the configuration was read from.
    pub(super) fn new(configuration: &Path, files: Files, kafka: Kafka) -> Self {
        let watch = watch(files.paths());
        if let Err(error) = &watch {
            tracing::warn!(%error, every_seconds = LOOK.as_secs(), "cannot watch configuration files; checking them periodically instead");
        }
        Self {
            configuration: configuration.to_owned(),
            watch: watch.ok(),
            certificates: certificates(&kafka),
            files,
            kafka,
        }
    }

    /// Waits until the credentials have changed, and gives the new settings of Kafka.
    pub(super) async fn next(&mut self) -> Kafka {
        loop {
            match &mut self.watch {
                Some(watch) => tokio::select! {
                    () = watch.changed() => {}
                    () = sleep(LOOK) => {}
                },
                None => sleep(LOOK).await,
            }
            if let Some(kafka) = self.look() {
                return kafka;
            }
        }
    }

    /// The settings to go on with, if they are others now.
    fn look(&mut self) -> Option<Kafka> {
        let now = self.files.look_again();
        if now == self.files {
            return None;
        }
        let loaded = match config::load(&self.configuration) {
            Ok(loaded) => loaded,
            Err(error) => {
                // A file may be half written, or the next of a pair to come.
                tracing::warn!(%error, "cannot read changed configuration files; keeping the previous credentials");
                self.files = now;
                return None;
            }
        };
        self.files = loaded.files;
        if let Some(watch) = &mut self.watch
            && let Err(error) = watch.follow(self.files.paths())
        {
            tracing::warn!(%error, "cannot watch some configuration files; checking them periodically instead");
        }
        let told = loaded.config.kafka?;
        let kafka = Kafka {
            username: told.username,
            password: told.password,
            tls: told.tls,
            ..self.kafka.clone()
        };
        let certificates = certificates(&kafka);
        if kafka == self.kafka && certificates == self.certificates {
            return None;
        }
        (self.kafka, self.certificates) = (kafka.clone(), certificates);
        Some(kafka)
    }
}

fn certificates(kafka: &Kafka) -> Files {
    let tls = &kafka.tls;
    Files::look_at([&tls.ca, &tls.certificate, &tls.key].into_iter().flatten())
}
