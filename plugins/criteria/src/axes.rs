//! Units and inputs along one axis of a tensor, on whichever axis of its parameter they stand.

use secateur::prelude::*;

/// The weights of every unit of a group in one of its parameters: `[units, weights of a unit]`, where `member` says how
/// the units lie in `tensor`.
pub(crate) fn unit_rows<B: Backend>(tensor: &Tensor<B>, member: &Member, units: usize) -> Result<Tensor<B>> {
    let (outer, n, inner) = tensor.shape().around(member.axis);
    let lines = match outer {
        1 => tensor.reshape([n, inner])?,
        _ => tensor.reshape([outer, n * inner])?.transpose()?.reshape([n, inner * outer])?,
    };
    let indices: Vec<usize> = (0..units).flat_map(|unit| member.indices(unit, units)).collect();
    let whole = indices.len() == n && indices.is_sorted();
    let lines = if whole { lines } else { lines.select(0, &indices)? };
    lines.reshape([units, lines.count() / units.max(1)])
}

/// A tensor of this shape that has `values` along one axis, and the same ones wherever else it extends.
pub(crate) fn spread<B: Backend>(device: &B, values: &[f32], axis: usize, shape: Shape) -> Result<Tensor<B>> {
    let (outer, n, inner) = shape.around(axis);
    let ones = |n: usize, shape: [usize; 2]| Tensor::from_vec(device, vec![1.0; n], shape);
    let spread = if outer == 1 {
        let column = Tensor::from_vec(device, values.to_vec(), [n, 1])?;
        column.matmul(false, &ones(inner, [1, inner])?, false)?
    } else {
        let row = values.iter().flat_map(|v| std::iter::repeat_n(*v, inner)).collect();
        ones(outer, [outer, 1])?.matmul(false, &Tensor::from_vec(device, row, [1, n * inner])?, false)?
    };
    spread.reshape(shape)
}

/// Sums over everything but one axis.
pub(crate) fn sums<B: Backend>(tensor: &Tensor<B>, how: Reduce, axis: usize) -> Result<Tensor<B>> {
    let (outer, n, inner) = tensor.shape().around(axis);
    tensor.reshape([outer, n, inner])?.reduce(how, 2)?.reduce(how, 0)
}

/// The axis of a weight along which its inputs lie: 1, and 0 of a transposed convolution.
pub(crate) fn input_axis(layout: &Layout, weight: &str) -> usize {
    let turned = |m: &Member| m.param == weight && (m.role == Role::Consumer) == (m.axis == 0);
    usize::from(!layout.groups.iter().any(|group| group.members.iter().any(turned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize]) -> Tensor<Cpu> {
        let n = shape.iter().product::<usize>();
        Tensor::from_vec(&Cpu::default(), (0..n).map(|i| i as f32).collect(), shape).unwrap()
    }

    #[test]
    fn rows_of_units_follow_their_members() {
        let member =
            |axis, offset, outer, inner| Member { param: "w".into(), axis, offset, outer, inner, role: Role::Producer };
        let rows = |t: &Tensor<Cpu>, m: Member, units| {
            let rows = unit_rows(t, &m, units).unwrap();
            rows.to_vec().chunks(rows.shape()[1]).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        assert_eq!(rows(&tensor(&[2, 3]), member(0, 0, 1, 1), 2), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]);
        assert_eq!(rows(&tensor(&[2, 3]), member(1, 0, 1, 1), 3), [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]);
        // Two heads in queries and keys, one dimension each.
        assert_eq!(rows(&tensor(&[4, 2]), member(0, 0, 2, 1), 2), [[0.0, 1.0, 4.0, 5.0], [2.0, 3.0, 6.0, 7.0]]);
        assert_eq!(rows(&tensor(&[3, 1]), member(0, 1, 1, 1), 2), [[1.0], [2.0]]);
        assert_eq!(rows(&tensor(&[2, 2, 2]), member(1, 0, 1, 1), 2), [[0.0, 4.0, 1.0, 5.0], [2.0, 6.0, 3.0, 7.0]]);
    }

    #[test]
    fn values_are_spread_along_their_axis_and_summed_up_again() {
        for axis in 0..3 {
            let shape = tensor(&[2, 3, 4]).shape();
            let values: Vec<f32> = (0..shape[axis]).map(|i| i as f32 + 1.0).collect();
            let all = spread(&Cpu::default(), &values, axis, shape).unwrap();
            let others = 24.0 / shape[axis] as f32;
            let expected: Vec<f32> = values.iter().map(|v| v * others).collect();
            assert_eq!(sums(&all, Reduce::Sum, axis).unwrap().to_vec(), expected);
            let (_, n, inner) = shape.around(axis);
            assert!(all.to_vec().iter().enumerate().all(|(i, v)| *v == values[i / inner % n]));
        }
    }
}
