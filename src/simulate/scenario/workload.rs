//! The pods that hold GPUs, named as Kubernetes names them.

use super::activity::{Job, Part, Work};
use super::roll::Roll;

/// A Kubernetes pod, as the exporter learns it from the kubelet, with the workload that owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: String,
    /// The container that asked for the GPU.
    pub container: &'static str,
    /// Its owner: the name without what Kubernetes puts behind it.
    pub workload: String,
}

/// The letters of the suffixes that Kubernetes makes (apimachinery, `rand.SafeEncodeString`).
const SAFE_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Where a part is: the word of its machines, and which of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) tag: &'a str,
    pub(super) ordinal: u32,
}

/// The pods of a job on a part: one, or two or three that take turns on a shared GPU.
pub(super) fn pods(part: &Part, place: Place<'_>, job: Job) -> Vec<Pod> {
    let Place { tag, ordinal } = place;
    match job.work {
        Work::Training => {
            let name = match part.node.number(job.run).below(4) {
                0 => "super-resolution",
                1 => "caption-pretrain",
                2 => "audio-align",
                _ => "video-diffusion",
            };
            vec![set_member("training", "trainer", format!("{name}-{tag}"), ordinal)]
        }
        Work::Notebook => {
            let name = format!("notebook-{tag}-n{}", ordinal * 8 + part.index);
            vec![set_member("research", "notebook", name, 0)]
        }
        Work::Runaway => {
            vec![set_member("research", "sweep", format!("sweep-{tag}"), ordinal)]
        }
        Work::Serving => {
            let name = match part.index % 3 {
                0 => "text-to-video",
                1 => "image-upscale",
                _ => "captions",
            };
            vec![replica("serving", "server", name, part, job.run)]
        }
        Work::Split => {
            let name = if part.sevenths > 2 { "thumbnails" } else { "safety-filter" };
            vec![replica("serving", "server", name, part, job.run)]
        }
        Work::Shared => ["speech-to-text", "moderation", "embeddings"]
            .into_iter()
            .take(sharers(part))
            .map(|name| replica("shared", "server", name, part, job.run))
            .collect(),
    }
}

/// How many pods take turns on a shared GPU.
pub(super) fn sharers(part: &Part) -> usize {
    if part.work == Work::Shared && part.own.below(2) == 0 { 3 } else { 2 }
}

/// A pod of a StatefulSet.
fn set_member(
    namespace: &'static str,
    container: &'static str,
    workload: String,
    ordinal: u32,
) -> Pod {
    Pod { namespace, name: format!("{workload}-{ordinal}"), container, workload }
}

/// A pod of a Deployment: its name, the hash of the template, five letters of its own.
fn replica(
    namespace: &'static str,
    container: &'static str,
    name: &'static str,
    part: &Part,
    run: i64,
) -> Pod {
    let template = letters(Roll::new(0).word(name).number(run), 9);
    let own = letters(part.own.word(name).number(run), 5);
    Pod {
        namespace,
        name: format!("{name}-{template}-{own}"),
        container,
        workload: name.to_owned(),
    }
}

fn letters(roll: Roll, count: i64) -> String {
    let many = u32::try_from(SAFE_LETTERS.len()).unwrap_or(1);
    (0..count)
        .filter_map(|at| {
            let letter = usize::try_from(roll.number(at).below(many)).ok()?;
            SAFE_LETTERS.get(letter).copied().map(char::from)
        })
        .collect()
}
