//! A thousand rounds of kills, pauses, partitions, outages, lost and late answers and foreign hands,
//! with clocks that run apart, on simulated time: a queue of events, no thread and no socket. What
//! replicas ask and hear is the API's own JSON.

mod world;

use self::world::{Trouble, World};

const WORLDS: u64 = 40;
const ROUNDS: u64 = 25;

#[test]
fn in_a_thousand_rounds_there_is_one_writer_for_a_term_and_never_no_poller_for_long() {
    let mut worst = Worst::default();
    for seed in 0..WORLDS {
        let mut world = World::new(seed);
        for _ in 0..ROUNDS {
            let trouble = Trouble::ALL[world.random.below(Trouble::ALL.len())];
            world.round(trouble);
            worst.rounds += 1;
        }
        worst.take(&world);
    }
    println!("{worst:#?}");
    assert_eq!(worst.rounds, 1_000);
    assert!(worst.changes > 500 && worst.fenced > 0, "too little happened: {worst:?}");
    assert!(worst.given_up > 0, "nobody gave the Lease up for its ledger");
    assert!(worst.overlaps > 0, "no pause fell into a paid request");
}

/// What the rounds came to.
#[derive(Debug, Default)]
struct Worst {
    rounds: u64,
    changes: usize,
    overlaps: usize,
    fenced: usize,
    given_up: usize,
    longest_gap: f64,
    longest_cut_off: f64,
    longest_handover: f64,
}

impl Worst {
    fn take(&mut self, world: &World) {
        self.changes += world.changes;
        self.overlaps += world.overlaps;
        self.fenced += world.fenced;
        self.given_up += world.given_up;
        self.longest_cut_off = self.longest_cut_off.max(world.longest_cut_off);
        self.longest_gap = self.longest_gap.max(world.longest_gap);
        self.longest_handover = self.longest_handover.max(world.longest_handover);
    }
}
