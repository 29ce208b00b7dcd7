//! One figure, taken many times for each of those compared.

/// Those compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Who {
    /// The supervisor under test.
    Ours,
    /// The one it is compared with.
    Reference,
    /// The least that does the same work: a bare loop, a bare process.
    Limit,
}

impl Who {
    /// Everybody, in the order of the report's columns.
    pub const ALL: [Who; 3] = [Who::Ours, Who::Reference, Who::Limit];

    /// As the raw numbers name it.
    pub fn word(self) -> &'static str {
        match self {
            Who::Ours => "ours",
            Who::Reference => "reference",
            Who::Limit => "limit",
        }
    }
}

/// Which way is better.
#[derive(Clone, Copy, PartialEq)]
pub enum Better {
    /// Less of it, as with time.
    Less,
    /// More of it, as with throughput.
    More,
}

/// One figure of everybody.
pub struct Series {
    /// What was measured.
    pub name: String,
    /// Unit of the values.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What the limit is; empty where there is none.
    pub limit: String,
    values: [Vec<f64>; 3],
}

impl Series {
    /// A figure without values yet.
    pub fn new(
        name: impl Into<String>,
        unit: &'static str,
        better: Better,
        limit: impl Into<String>,
    ) -> Series {
        Series { name: name.into(), unit, better, limit: limit.into(), values: Default::default() }
    }

    /// Adds a value.
    pub fn push(&mut self, who: Who, value: f64) {
        self.values[who as usize].push(value);
    }

    /// All values of one, in the order they were taken.
    pub fn values(&self, who: Who) -> &[f64] {
        &self.values[who as usize]
    }

    /// Lower quartile, median and upper quartile; None without values.
    pub fn quartiles(&self, who: Who) -> Option<[f64; 3]> {
        let mut sorted = self.values(who).to_vec();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then(|| [0.25, 0.5, 0.75].map(|part| quantile(&sorted, part)))
    }

    /// How many times better ours is than the reference, by the medians: 2 is twice as good, below 1
    /// is worse. None where one of them has no values, or the ratio would divide by zero.
    pub fn ratio(&self) -> Option<f64> {
        let (ours, reference) = (self.quartiles(Who::Ours)?[1], self.quartiles(Who::Reference)?[1]);
        let (above, below) = match self.better {
            Better::Less => (reference, ours),
            Better::More => (ours, reference),
        };
        (below > 0.0).then_some(above / below)
    }
}

/// Between the two nearest values, in proportion. `sorted` is not empty.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(better: Better, ours: &[f64], reference: &[f64]) -> Series {
        let mut series = Series::new("x", "s", better, "");
        ours.iter().for_each(|value| series.push(Who::Ours, *value));
        reference.iter().for_each(|value| series.push(Who::Reference, *value));
        series
    }

    #[test]
    fn quartiles_lie_between_the_values() {
        let series = series(Better::Less, &[4.0, 1.0, 3.0, 2.0], &[7.0]);
        assert_eq!(series.quartiles(Who::Ours), Some([1.75, 2.5, 3.25]));
        assert_eq!(series.quartiles(Who::Reference), Some([7.0; 3]));
        assert_eq!(series.quartiles(Who::Limit), None);
    }

    #[test]
    fn a_ratio_above_one_is_always_better() {
        assert_eq!(series(Better::Less, &[2.0], &[6.0]).ratio(), Some(3.0));
        assert_eq!(series(Better::More, &[2.0], &[6.0]).ratio(), Some(1.0 / 3.0));
        assert_eq!(series(Better::Less, &[0.0], &[6.0]).ratio(), None);
        assert_eq!(series(Better::Less, &[1.0], &[]).ratio(), None);
    }
}
