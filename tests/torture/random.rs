//! Choices that follow from a seed (SplitMix64), so that a run can be repeated: the same seed chooses the same operations. The
//! timing of processes and of the network does not follow from it.

/// A source of choices.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A source of its own for a part of the run, whatever the others draw.
    pub fn fork(&self, part: u64) -> Self {
        let mut forked = Self(self.0 ^ part.wrapping_mul(0xd134_2543_de82_ef95));
        forked.draw();
        forked
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        if choices.is_empty() { None } else { choices.get(self.below(choices.len() as u64) as usize) }
    }
}
