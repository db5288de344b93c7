# SPDX-License-Identifier: GPL-2.0
"""For kunit.py: the RISC-V machine that scripts/vm-riscv boots, as far as the suites need it.

The kernel's own qemu_configs/riscv.py has neither an IOMMU nor messages for interrupts, and
wants OpenSBI in a place where it need not be.
"""

from ..qemu_config import QemuArchParams

QEMU_ARCH = QemuArchParams(linux_arch='riscv',
                           kconfig='',
                           qemu_arch='riscv64',
                           kernel_path='arch/riscv/boot/Image',
                           kernel_command_line='console=ttyS0',
                           extra_qemu_params=[
                               '-machine', 'virt,aia=aplic-imsic', '-cpu', 'rv64', '-smp', '2',
                               '-device', 'riscv-iommu-pci,addr=1.0',
                               # Behind the IOMMU, so after it
                               '-device', 'iommu-testdev,addr=5.0'])
