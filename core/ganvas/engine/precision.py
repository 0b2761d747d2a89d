"""Whether a device has a lower precision in hardware."""

from __future__ import annotations

import torch

__all__ = ["has_bf16"]


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is worth anything there: where it is emulated, it is slower than float32 and no more exact."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return True
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:  # an older torch does not say
        return True
    known = capabilities()
    # x86 has it in AVX-512 or AMX, ARM in its vector extensions.
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16", "sve_bf16"))
