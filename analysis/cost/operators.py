"""Multiply-accumulates (MACs) of the operators that a network dispatches.

Every operator is *counted*, by a handler that gives its kind and MACs; *free* by convention (see
`is_free`); or *uncounted*, which results list by name. One MAC is a multiplication and the
addition of its product. fvcore calls it a "flop"; elsewhere it is two FLOPs.

`register` adds a handler for an operator or for a class of modules whose work no operator shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
import torchvision  # noqa: F401  (registers torchvision's operators)
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves

KINDS = ("conv", "linear", "deformable_kernel")
"""The kinds of operators whose sum is a network's MACs."""

ITEMS = (*KINDS, "offset_and_mask_conv", "sampling")
"""The items of a count: `offset_and_mask_conv` is part of `conv`, `sampling` is in no sum."""

CONVENTIONS = {
    "macs": "conv + linear + deformable_kernel; a multiplication and the addition of its product "
    "are one MAC; a bias is an addition and costs none",
    "conv": "convolutions: output values × kernel taps × input channels of a group",
    "linear": "matrix products: output values × inner dimension",
    "deformable_kernel": "deformable convolutions, as the plain convolution with the same kernel",
    "offset_and_mask_conv": "the part of conv whose output becomes an offset or a mask of a "
    "deformable convolution",
    "sampling": "not in macs: bilinear interpolation in deformable convolutions, 4 MACs for each "
    "of the taps × input channels × output positions sampled values; the interpolation weights "
    "and the product with the mask are left out",
}
"""The definition of each item."""

Handler = Callable[[tuple[Any, ...], Any], int]
"""MACs of one call, from the arguments by the operator's schema and its output. Of a class of
modules: from the module followed by its inputs, and its output."""

_HANDLERS: dict[str, tuple[str, Handler]] = {}


def register(operator: Any, handler: Handler, kind: str = "linear") -> None:
    """Count an operator or a class of modules from now on.

    Args:
        operator: `torch.ops.NAMESPACE.NAME`, its name "NAMESPACE::NAME", or, for code that calls
            no operators, a class of modules or its full name "package.module.Class".
        handler: returns the MACs of one call.
        kind: one of `ITEMS`, without `offset_and_mask_conv`.

    Raises:
        ValueError: for another kind.
    """
    if kind not in (*KINDS, "sampling"):
        raise ValueError(f"kind (={kind!r}) must be one of {', '.join(KINDS)}, sampling")
    name = _class_name(operator) if isinstance(operator, type) else str(operator)
    if not isinstance(operator, str | type):
        name = name.replace(".", "::", 1).split(".")[0]  # aten.mm.default → aten::mm
    _HANDLERS[name] = kind, handler


def operator_name(operator: Any) -> str:
    """Return the name by which an operator is counted: "aten::mm", "higher_order::cond"."""
    schema = getattr(operator, "_schema", None)
    return str(schema.name if schema else f"higher_order::{operator.name()}")


def find_handler(name: str) -> tuple[str, Handler] | None:
    """Return the kind and handler of an operator such as "aten::add_", if it is counted."""
    return _HANDLERS.get(name) or _HANDLERS.get(name.removesuffix("_"))


def find_module_handler(module: nn.Module) -> tuple[str, Handler] | None:
    """Return the kind and handler of a module whose class, or a base of it, is registered."""
    found = (_HANDLERS.get(_class_name(base)) for base in type(module).__mro__)
    return next((handler for handler in found if handler), None)


def _class_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


# --- what is counted ------------------------------------------------------------------------------


def _convolution(args: tuple[Any, ...], output: Tensor) -> int:
    inputs, weight, transposed = args[0], args[1], args[6]
    # Every value of the output is a product of one slice of the weight; in a transposed
    # convolution every value of the input is multiplied by one.
    return int((inputs if transposed else output).numel() * weight[0].numel())


def _product(left: int) -> Handler:
    """For matrix products, whose left factor is argument `left`."""

    def macs(args: tuple[Any, ...], output: Tensor) -> int:
        packed = 2 if args[left].dtype == _TWO_IN_A_BYTE else 1
        return int(output.numel() * args[left].shape[-1] * packed)

    return macs


_TWO_IN_A_BYTE = getattr(torch, "float4_e2m1fn_x2", None)  # not in PyTorch 2.7


def _grouped_product(args: tuple[Any, ...], output: Tensor) -> int:
    """For products in groups: of two matrices, what is summed over is split into them."""
    groups = output.shape[0] if args[0].ndim == args[1].ndim == 2 else 1
    return int(output.numel() * args[0].shape[-1] // groups)


def _with_complex(handler: Handler) -> Handler:
    """Count a product of complex numbers as four real ones."""
    return lambda args, output: (
        handler(args, output) * (4 if isinstance(output, Tensor) and output.is_complex() else 1)
    )


def _attention(args: tuple[Any, ...], output: Any) -> int:
    """For queries, keys and values of (…, sequence, channels): both products, unmasked."""
    queries, keys, values = (x.shape for x in args[:3])
    return int(prod(queries[:-1]) * keys[-2] * (queries[-1] + values[-1]))


def _recurrent(args: tuple[Any, ...], output: Any) -> int:
    """For a recurrent layer: each step multiplies by every weight matrix once."""
    weights = [x for x in tree_leaves(args[1:5]) if isinstance(x, Tensor) and x.ndim == 2]
    return int(prod(args[0].shape[:-1]) * sum(x.numel() for x in weights))


def _kernel(args: tuple[Any, ...], output: Tensor) -> int:
    """For weights as argument 1, outputs first, each of which every output is a sum over."""
    return int(output.numel() * prod(args[1].shape[1:]))


def _quantized(args: tuple[Any, ...], output: Tensor) -> int:
    return _kernel((None, args[1].unpack()[0]), output)


def _bag(args: tuple[Any, ...], output: Any) -> int:
    """For sums of embeddings, which are products only where samples have weights."""
    weighted = len(args) > 6 and args[6] is not None
    return int(args[1].numel() * args[0].shape[1]) if weighted else 0


def _deformable_module(args: tuple[Any, ...], output: Tensor) -> int:
    """For modules that call their kernel past the dispatcher, which sees none of its work."""
    return _kernel((None, args[0].weight), output)


def sampling_macs(args: tuple[Any, ...], output: Tensor) -> int:
    """Return the MACs of the bilinear sampling in `torchvision.ops.deform_conv2d`."""
    inputs, weight = args[:2]
    positions = output.shape[0] * prod(output.shape[2:])
    return int(4 * positions * inputs.shape[1] * prod(weight.shape[2:]))  # 4 corners of a cell


def _interpolation(neighbours: int) -> Handler:
    return lambda args, output: neighbours * output.numel()


def _grid_sampler(dimensions: int) -> Handler:
    """Of the modes bilinear, nearest and bicubic."""
    return lambda args, output: (2**dimensions, 0, 4**dimensions)[args[2]] * output.numel()


DEFORM_CONV = "torchvision::deform_conv2d"


def _names(text: str) -> list[str]:
    """Return the names in a text, each behind its first word."""
    prefix, *names = text.split()
    return [prefix + name for name in names]


for _text, _kind, _handler in (
    ("aten:: convolution _convolution convolution_overrideable", "conv", _convolution),
    (
        "aten:: mm bmm mv _int_mm _scaled_mm _scaled_mm_v2 _weight_int8pack_mm",
        "linear",
        _product(0),
    ),
    ("aten:: _grouped_mm", "linear", _grouped_product),
    ("aten:: addmm baddbmm addmv _addmm_activation", "linear", _product(1)),
    ("aten:: dot vdot", "linear", lambda args, output: args[0].numel()),
    ("aten:: addr", "linear", lambda args, output: output.numel()),
    ("aten:: addbmm", "linear", lambda args, output: args[1].numel() * args[2].shape[-1]),
    (
        "aten:: _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu "
        "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention "
        "_scaled_dot_product_fused_attention_overrideable",
        "linear",
        _attention,
    ),
    ("higher_order:: flex_attention", "linear", _attention),
    ("aten:: _trilinear", "linear", _kernel),
    ("aten:: affine_grid_generator", "linear", _product(0)),
    ("aten:: _embedding_bag _embedding_bag_forward_only", "linear", _bag),
    ("quantized:: conv1d conv1d_relu conv2d conv2d_relu conv3d conv3d_relu", "conv", _quantized),
    ("quantized:: linear linear_relu linear_dynamic linear_relu_dynamic", "linear", _quantized),
    ("aten:: mkldnn_rnn_layer _cudnn_rnn miopen_rnn", "linear", _recurrent),
    ("aten:: upsample_linear1d", "sampling", _interpolation(2)),
    ("aten:: upsample_bilinear2d _upsample_bilinear2d_aa", "sampling", _interpolation(4)),
    ("aten:: grid_sampler_2d", "sampling", _grid_sampler(2)),
    ("aten:: grid_sampler_3d", "sampling", _grid_sampler(3)),
    ("aten:: upsample_trilinear3d", "sampling", _interpolation(8)),
    ("aten:: upsample_bicubic2d _upsample_bicubic2d_aa", "sampling", _interpolation(16)),
    ("aten:: _upsample_lanczos2d_aa", "sampling", _interpolation(36)),
    ("torchvision:: deform_conv2d", "deformable_kernel", _kernel),
    (
        "mmcv.ops. deform_conv.DeformConv2d modulated_deform_conv.ModulatedDeformConv2d",
        "deformable_kernel",
        _deformable_module,
    ),
    (
        "detectron2.layers.deform_conv. DeformConv ModulatedDeformConv",
        "deformable_kernel",
        _deformable_module,
    ),
):
    for _name in _names(_text):
        register(_name, _with_complex(_handler) if _kind == "linear" else _handler, _kind)


# --- what is free ---------------------------------------------------------------------------------


FREE: Mapping[str, str] = {
    "a few products per value with others of its place, as of activations and gates": "aten:: "
    "leaky_relu hardswish hardsigmoid dropout native_dropout glu floor_divide _prelu_kernel "
    "_weight_norm_interface log_sigmoid_forward cumprod polar _conj_physical rrelu_with_noise "
    "linalg_cross "
    "_thnn_fused_lstm_cell _thnn_fused_gru_cell quantize_per_tensor quantize_per_tensor_dynamic "
    "quantize_per_channel dequantize fake_quantize_per_tensor_affine_cachemask "
    "fake_quantize_per_channel_affine_cachemask _fake_quantize_learnable_per_tensor_affine "
    "_fake_quantize_learnable_per_channel_affine _fused_moving_avg_obs_fq_helper "
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
    "reductions that add, compare, square or multiply each value once": "aten:: sum mean amax amin "
    "max min aminmax _aminmax nansum prod count_nonzero argmax argmin any all _is_any_true "
    "_is_all_true allclose trace _softmax "
    "_log_softmax _safe_softmax _masked_softmax logsumexp cumsum cummax cummin _cummax_helper "
    "_cummin_helper logcumsumexp _logcumsumexp var var_mean std std_mean norm native_norm "
    "linalg_vector_norm topk sort median nanmedian kthvalue mode isin histc histogram bincount "
    "bucketize searchsorted unique_dim unique_consecutive _unique _unique2 index_add index_reduce "
    "scatter_reduce segment_reduce col2im unfold_backward max_pool2d max_pool2d_with_indices "
    "max_pool3d_with_indices avg_pool2d avg_pool3d adaptive_avg_pool2d _adaptive_avg_pool2d "
    "_adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d fractional_max_pool2d "
    "fractional_max_pool3d quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d",
    "the same of quantized values": "quantized:: add add_relu add_scalar add_scalar_relu "
    "batch_norm2d cat cat_relu elu hardswish instance_norm layer_norm leaky_relu mul mul_relu "
    "mul_scalar relu6 sigmoid",
    "losses, one value for each that is compared": "aten:: mse_loss smooth_l1_loss huber_loss "
    "soft_margin_loss multi_margin_loss multilabel_margin_loss_forward nll_loss_forward "
    "nll_loss2d_forward binary_cross_entropy binary_cross_entropy_with_logits",
    "random numbers": "aten:: bernoulli binomial cauchy exponential geometric log_normal "
    "multinomial normal poisson rand_like randint_like randn_like random uniform _sample_dirichlet "
    "_standard_gamma",
    "at inference a batch normalisation folds into the convolution before it; others scale and "
    "shift each value": "aten:: batch_norm native_batch_norm _native_batch_norm_legit_no_training "
    "_native_batch_norm_legit _batch_norm_no_update _batch_norm_with_update cudnn_batch_norm "
    "miopen_batch_norm native_layer_norm native_group_norm _fused_rms_norm rms_norm renorm "
    "embedding_renorm",
    "fills, copies and views; the nearest neighbour is copied, nothing is weighted": "aten:: "
    "empty zeros ones linspace detach alias clone copy _to_copy view _unsafe_view t transpose "
    "permute expand select slice split unsafe_split unsafe_split_with_sizes unbind unsqueeze "
    "squeeze cat stack _stack constant_pad_nd pad index_select index index_put index_copy "
    "index_fill _index_put_impl _unsafe_index _unsafe_index_put gather take put scatter "
    "scatter_add slice_scatter select_scatter diagonal_scatter as_strided_scatter embedding "
    "masked_select masked_scatter flip roll rot90 repeat repeat_interleave tril triu block_diag "
    "diag_embed diagonal_copy complex reflection_pad1d reflection_pad2d reflection_pad3d "
    "replication_pad1d replication_pad2d replication_pad3d upsample_nearest1d "
    "upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d "
    "_upsample_nearest_exact3d max_unpool2d max_unpool3d pixel_shuffle pixel_unshuffle "
    "channel_shuffle native_channel_shuffle im2col _local_scalar_dense item nonzero "
    "nonzero_static _reshape_copy new_empty new_empty_strided new_zeros new_ones new_full full "
    "full_like empty_like zeros_like ones_like fill zero lift lift_fresh contiguous as_strided "
    "_pack_padded_sequence resize resize_as set _pin_memory is_same_size is_coalesced is_pinned "
    "is_set_to _nnz sparse_dim dense_dim _has_same_storage_numel _assert_async "
    "_assert_tensor_metadata _linalg_check_errors _to_dense _to_sparse _to_sparse_csr "
    "sparse_compressed_tensor _sparse_coo_tensor_with_dims_and_tensors _coalesce dim sym_size "
    "sym_is_contiguous to_padded_tensor _nested_tensor_from_tensor_list int_repr q_scale "
    "q_zero_point",
    "selection and averaging of regions, a few values each": "torchvision:: nms roi_align "
    "roi_pool ps_roi_align ps_roi_pool",
}
"""By reason, the namespace and names of operators that cost no MACs by convention."""

_FREE_NAMES = frozenset(name for text in FREE.values() for name in _names(text))


def is_free(operator: Any, args: Any) -> bool:
    """Return whether an operator costs no MACs by convention.

    These are the operators of `FREE`, all that PyTorch marks as pointwise or as reductions, views,
    and those of PyTorch that take no tensors. An operator in place, on a list of tensors
    (`_foreach_add`) or among PyTorch's primitives (`prims::add`) counts as the plain one.
    """
    if not isinstance(operator, OpOverload):
        return False
    name = operator_name(operator).removesuffix("_")
    name = name.replace("::_foreach_", "::").replace("prims::", "aten::")
    if name in _FREE_NAMES or operator.is_view or _FREE_TAGS & set(operator.tags):
        return True
    if operator.namespace == "prim":  # questions: the layout or device of a tensor
        return True
    if operator.namespace not in ("aten", "prims", "profiler", "torchvision"):
        return False
    namespace, _, short = name.partition("::")
    plain = getattr(getattr(torch.ops, namespace), short, None)
    if plain and any(_FREE_TAGS & set(getattr(plain, kind).tags) for kind in plain.overloads()):
        return True  # the in-place one has none of its tags
    return not any(isinstance(x, Tensor) for x in tree_leaves(args))


_FREE_TAGS = {
    torch.Tag.pointwise,
    getattr(torch.Tag, "reduction", torch.Tag.pointwise),  # not in PyTorch 2.7
}
