/*
 * ACPI tables: RSDP, DSDT, FADT, MADT, XSDT, in this order.
 * Input:  the checked configuration.
 * Runs:   main thread, before any vCPU.
 * Limits: ACPI_BYTES_MAX.
 *
 * Hardware-reduced: no PM timer, no SCI, no fixed events; power-off and reset are two ports. Comments in
 * the form "5.2.9" are sections of the ACPI specification 6.4.
 */
#include "vmm/arch/x86/acpi.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "vmm/arch/x86/aml.h"
#include "vmm/arch/x86/layout.h"
#include "vmm/arch/x86/tables.h"

enum { RSDP_BYTES = 36, RSDP_V1_BYTES = 20, FADT_BYTES = 276 };
enum { AT_LENGTH = 4, AT_CHECKSUM = 9 };
enum { RSDP_AT_CHECKSUM = 8, RSDP_AT_CHECKSUM_WHOLE = 32 };

/* 5.2.9 */
enum {
        FADT_AT_BOOT_ARCH = 109,
        FADT_AT_FLAGS = 112,
        FADT_AT_RESET_REG = 116,
        FADT_AT_RESET_VALUE = 128,
        FADT_AT_MINOR = 131,
        FADT_AT_X_DSDT = 140,
        FADT_AT_SLEEP_CONTROL = 244,
        FADT_AT_SLEEP_STATUS = 256,
};
enum { BOOT_ARCH_NO_VGA = 0x4, BOOT_ARCH_NO_MSI = 0x8, BOOT_ARCH_NO_RTC = 0x20 };
enum {
        FLAG_WBINVD = 1 << 0,
        FLAG_NO_POWER_BUTTON = 1 << 4,
        FLAG_NO_SLEEP_BUTTON = 1 << 5,
        FLAG_RESET_REG = 1 << 10,
        FLAG_HW_REDUCED = 1 << 20,
};
enum { GAS_PORT = 1, GAS_BYTE_ACCESS = 1 };

/* 5.2.12 */
enum { MADT_LOCAL_APIC = 0, MADT_IO_APIC = 1, MADT_ENABLED = 1 };

#define POWER_SLEEP_PORT (LAYOUT_POWER + 0)
#define POWER_RESET_PORT (LAYOUT_POWER + 1)
#define RESET_VALUE      1u
#define S5_TYPE          5u
#define BUTTON_PRESSED   0x80u

static void put_zeros(struct buf *b, size_t n)
{
        static const uint8_t zeros[FADT_BYTES];

        buf_put(b, zeros, n);
}

/* 5.2.6. Length and checksum come with close_table(). */
static size_t open_table(struct buf *b, const char *signature, uint8_t revision)
{
        size_t at = b->at;

        buf_put(b, signature, 4);
        buf_put_u32(b, 0);
        buf_put_u8(b, revision);
        buf_put_u8(b, 0);
        buf_put(b, "VMLET MICROVM ", 14);
        buf_put_u32(b, 1);
        buf_put(b, "VMLT", 4);
        buf_put_u32(b, 1);
        return at;
}

static void close_table(struct buf *b, size_t at)
{
        if (b->bad)
                return;
        tables_set_u32(b->data + at + AT_LENGTH, (uint32_t)(b->at - at));
        tables_set_checksum(b->data + at, b->at - at, AT_CHECKSUM);
}

static void put_serial(struct buf *b)
{
        size_t device = aml_open(b, AML_DEVICE, "COM1");
        size_t resources;

        aml_name_eisa_id(b, "_HID", "PNP0501");
        aml_name_int(b, "_UID", 1);
        resources = aml_open_resources(b);
        aml_ports(b, LAYOUT_COM1, 8);
        aml_interrupt(b, LAYOUT_COM1_GSI);
        aml_close_resources(b, resources);
        aml_close(b, device);
}

static void put_virtio(struct buf *b, unsigned i, const struct arch_device *d)
{
        size_t device, resources;
        char name[8];

        (void)snprintf(name, sizeof(name), "VM%02X", i & 0xff);
        device = aml_open(b, AML_DEVICE, name);
        aml_name_string(b, "_HID", "LNRO0005");
        aml_name_int(b, "_UID", i);
        aml_name_int(b, "_CCA", 1);
        resources = aml_open_resources(b);
        aml_memory(b, (uint32_t)d->base, (uint32_t)d->size);
        aml_interrupt(b, d->gsi);
        aml_close_resources(b, resources);
        aml_close(b, device);
}

/*
 * Hardware-reduced machines have no fixed button: an interrupt, and a method that says what it means
 * (5.6.9).
 */
static void put_button(struct buf *b)
{
        size_t device = aml_open(b, AML_DEVICE, "PWRB"), resources, method;

        aml_name_eisa_id(b, "_HID", "PNP0C0C");
        aml_close(b, device);
        device = aml_open(b, AML_DEVICE, "GED_");
        aml_name_string(b, "_HID", "ACPI0013");
        resources = aml_open_resources(b);
        aml_interrupt(b, LAYOUT_BUTTON_GSI);
        aml_close_resources(b, resources);
        method = aml_open(b, AML_METHOD, "_EVT");
        aml_notify(b, "PWRB", BUTTON_PRESSED);
        aml_close(b, method);
        aml_close(b, device);
}

static size_t put_dsdt(struct buf *b, const struct arch_boot *boot)
{
        static const uint8_t s5[] = { S5_TYPE, S5_TYPE, 0, 0 };
        size_t at = open_table(b, "DSDT", 2);
        size_t scope;

        aml_name_package(b, "_S5_", s5, sizeof(s5));
        scope = aml_open(b, AML_SCOPE, "_SB_");
        if (boot->has_serial)
                put_serial(b);
        for (unsigned i = 0; i < boot->nr_devices; i++)
                put_virtio(b, i, &boot->devices[i]);
        put_button(b);
        aml_close(b, scope);
        close_table(b, at);
        return at;
}

/* 5.2.3.2: a generic address, here always a byte-wide port. */
static void set_port(uint8_t *at, uint16_t port)
{
        at[0] = GAS_PORT;
        at[1] = 8;
        at[3] = GAS_BYTE_ACCESS;
        tables_set_u16(at + 4, port);
}

static size_t put_fadt(struct buf *b, uint32_t dsdt)
{
        size_t at = open_table(b, "FACP", 6);
        uint8_t *t = b->data + at;

        put_zeros(b, FADT_BYTES - (b->at - at));
        if (b->bad)
                return at;
        tables_set_u16(t + FADT_AT_BOOT_ARCH, BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_MSI | BOOT_ARCH_NO_RTC);
        tables_set_u32(t + FADT_AT_FLAGS, FLAG_WBINVD | FLAG_NO_POWER_BUTTON | FLAG_NO_SLEEP_BUTTON |
                                                  FLAG_RESET_REG | FLAG_HW_REDUCED);
        set_port(t + FADT_AT_RESET_REG, POWER_RESET_PORT);
        t[FADT_AT_RESET_VALUE] = RESET_VALUE;
        t[FADT_AT_MINOR] = 4;
        tables_set_u32(t + FADT_AT_X_DSDT, dsdt);
        set_port(t + FADT_AT_SLEEP_CONTROL, POWER_SLEEP_PORT);
        set_port(t + FADT_AT_SLEEP_STATUS, POWER_SLEEP_PORT);
        close_table(b, at);
        return at;
}

static size_t put_madt(struct buf *b, unsigned nr_vcpus)
{
        size_t at = open_table(b, "APIC", 5);

        buf_put_u32(b, (uint32_t)LAYOUT_LAPIC);
        buf_put_u32(b, 0); /* no 8259 to care for */
        for (unsigned i = 0; i < nr_vcpus; i++) {
                buf_put_u8(b, MADT_LOCAL_APIC);
                buf_put_u8(b, 8);
                buf_put_u8(b, (uint8_t)i);
                buf_put_u8(b, (uint8_t)i);
                buf_put_u32(b, MADT_ENABLED);
        }
        buf_put_u8(b, MADT_IO_APIC);
        buf_put_u8(b, 12);
        buf_put_u16(b, 0);
        buf_put_u32(b, (uint32_t)LAYOUT_IOAPIC);
        buf_put_u32(b, 0);
        close_table(b, at);
        return at;
}

static void put_rsdp(uint8_t *rsdp, uint32_t xsdt) /* 5.2.5.3 */
{
        struct buf b = buf_of(rsdp, RSDP_BYTES);

        buf_put(&b, "RSD PTR ", 8);
        buf_put_u8(&b, 0);
        buf_put(&b, "VMLET ", 6);
        buf_put_u8(&b, 2);
        buf_put_u32(&b, 0);
        buf_put_u32(&b, RSDP_BYTES);
        buf_put_u64(&b, xsdt);
        buf_put_u32(&b, 0);
        tables_set_checksum(rsdp, RSDP_V1_BYTES, RSDP_AT_CHECKSUM);
        tables_set_checksum(rsdp, RSDP_BYTES, RSDP_AT_CHECKSUM_WHOLE);
}

/* Tables start on 8-byte borders, as old readers expect. */
static void align(struct buf *b)
{
        while (b->at % 8 && !b->bad)
                buf_put_u8(b, 0);
}

void acpi_build(const struct arch_boot *boot, uint32_t base, struct buf *b)
{
        size_t fadt, madt, xsdt, at;

        put_zeros(b, RSDP_BYTES);
        align(b);
        at = put_dsdt(b, boot);
        align(b);
        fadt = put_fadt(b, base + (uint32_t)at);
        align(b);
        madt = put_madt(b, boot->nr_vcpus);
        align(b);
        xsdt = open_table(b, "XSDT", 1);
        buf_put_u64(b, base + fadt);
        buf_put_u64(b, base + madt);
        close_table(b, xsdt);
        if (!b->bad)
                put_rsdp(b->data, base + (uint32_t)xsdt);
}
