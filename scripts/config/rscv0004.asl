// SPDX-License-Identifier: GPL-2.0-only
// An IOMMU as ACPI describes one, for a machine that has none: the driver has to
// say why it cannot use it.
DefinitionBlock ("", "SSDT", 2, "RVIOMM", "RSCV0004", 1)
{
	Device (\_SB.RVIO)
	{
		Name (_HID, "RSCV0004")
		Name (_UID, 0)
		Name (_CRS, ResourceTemplate ()
		{
			Memory32Fixed (ReadWrite, 0xFEA00000, 0x1000)
		})
	}
}
