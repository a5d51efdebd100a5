//! The numbers of a worker's connections. A number that is free again is given away last, so that whoever still looks at the
//! mark of a connection that broke does not see that of its successor.

use std::collections::VecDeque;

/// Numbers that are not in use.
#[derive(Debug)]
pub struct Numbers(VecDeque<u32>);

impl Numbers {
    /// Those below `count`.
    pub fn new(count: u32) -> Self {
        Self((0..count).collect())
    }

    /// A number to use; none when all are in use.
    pub fn take(&mut self) -> Option<u32> {
        self.0.pop_front()
    }

    /// A number is not used any more.
    pub fn give_back(&mut self, number: u32) {
        self.0.push_back(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_last() {
        let mut numbers = Numbers::new(3);
        assert_eq!((numbers.take(), numbers.take()), (Some(0), Some(1)));
        numbers.give_back(0);
        assert_eq!((numbers.take(), numbers.take(), numbers.take()), (Some(2), Some(0), None));
    }
}
