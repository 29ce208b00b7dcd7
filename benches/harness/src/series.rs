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

/// What a figure of ours is to be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// No more than so many times the reference's.
    TimesAtMost(f64),
    /// No less than so many times the reference's.
    TimesAtLeast(f64),
    /// At least so much of the limit, see [`Series::share`].
    OfLimit(f64),
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
    /// What ours is to be; none where nothing is demanded.
    pub targets: Vec<Target>,
    values: [Vec<f64>; 3],
}

impl Series {
    /// A figure without values yet.
    pub fn new(name: impl Into<String>, unit: &'static str, better: Better) -> Series {
        let (limit, targets) = (String::new(), Vec::new());
        Series { name: name.into(), unit, better, limit, targets, values: Default::default() }
    }

    /// Says what the limit is.
    pub fn limit(self, limit: &str) -> Series {
        Series { limit: limit.to_owned(), ..self }
    }

    /// Demands something.
    pub fn target(mut self, target: Target) -> Series {
        self.targets.push(target);
        self
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

    /// The median; None without values.
    pub fn median(&self, who: Who) -> Option<f64> {
        Some(self.quartiles(who)?[1])
    }

    /// Ours over the reference's, by the medians. None where one of them has no values, or that divides by
    /// zero.
    pub fn ratio(&self) -> Option<f64> {
        over(self.median(Who::Ours)?, self.median(Who::Reference)?)
    }

    /// How much of the limit ours reaches, by the medians: 1 is all that can be had, whether less or more is better.
    pub fn share(&self) -> Option<f64> {
        let (ours, limit) = (self.median(Who::Ours)?, self.median(Who::Limit)?);
        match self.better {
            Better::Less => over(limit, ours),
            Better::More => over(ours, limit),
        }
    }

    /// Whether ours is what it is to be. None where nothing is demanded, or something to compare it with is missing.
    pub fn is_met(&self) -> Option<bool> {
        let met = |target: &Target| {
            Some(match *target {
                Target::AtMost(bound) => self.median(Who::Ours)? <= bound,
                Target::AtLeast(bound) => self.median(Who::Ours)? >= bound,
                Target::TimesAtMost(bound) => self.ratio()? <= bound,
                Target::TimesAtLeast(bound) => self.ratio()? >= bound,
                Target::OfLimit(bound) => self.share()? >= bound,
            })
        };
        let met: Vec<bool> = self.targets.iter().map(met).collect::<Option<_>>()?;
        (!met.is_empty()).then(|| met.iter().all(|met| *met))
    }
}

fn over(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then_some(above / below)
}

/// Between the two nearest values, in proportion. `sorted` is not empty.
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(better: Better, values: [&[f64]; 3]) -> Series {
        let mut series = Series::new("x", "s", better);
        for (who, values) in Who::ALL.into_iter().zip(values) {
            values.iter().for_each(|value| series.push(who, *value));
        }
        series
    }

    #[test]
    fn quartiles_lie_between_the_values() {
        let series = series(Better::Less, [&[4.0, 1.0, 3.0, 2.0], &[7.0], &[]]);
        assert_eq!(series.quartiles(Who::Ours), Some([1.75, 2.5, 3.25]));
        assert_eq!(series.quartiles(Who::Reference), Some([7.0; 3]));
        assert_eq!(series.quartiles(Who::Limit), None);
    }

    #[test]
    fn a_share_of_the_limit_is_all_at_one() {
        assert_eq!(series(Better::Less, [&[4.0], &[], &[2.0]]).share(), Some(0.5));
        assert_eq!(series(Better::More, [&[4.0], &[], &[8.0]]).share(), Some(0.5));
        assert_eq!(series(Better::Less, [&[0.0], &[], &[2.0]]).share(), None);
    }

    #[test]
    fn each_target_is_met_or_not() {
        let table = [
            (Target::AtMost(2.0), true),
            (Target::AtMost(1.9), false),
            (Target::AtLeast(2.0), true),
            (Target::AtLeast(2.1), false),
            (Target::TimesAtMost(0.5), true),
            (Target::TimesAtMost(0.4), false),
            (Target::TimesAtLeast(0.5), true),
            (Target::TimesAtLeast(0.6), false),
            (Target::OfLimit(0.8), true),
            (Target::OfLimit(0.9), false),
        ];
        let values: [&[f64]; 3] = [&[2.0], &[4.0], &[2.5]];
        for (target, met) in table {
            assert_eq!(series(Better::More, values).target(target).is_met(), Some(met), "{target:?}");
        }
        let both = series(Better::More, values).target(Target::AtLeast(1.0)).target(Target::AtLeast(3.0));
        assert_eq!(both.is_met(), Some(false));
        assert_eq!(series(Better::More, values).is_met(), None);
        assert_eq!(series(Better::More, [&[2.0], &[], &[]]).target(Target::OfLimit(0.1)).is_met(), None);
    }
}
