/* COM1 (16550, polled, 115200 8N1) and the screen, as bare as a panic needs them. The
 * real console is a Lua service; this file is for what happens before it and after it. */
#include "console.h"

#include <stdbool.h>
#include <stdint.h>

#include "framebuffer.h"
#include "io.h"

#define COM1 0x3f8
#define UART_DATA 0             /* 16550D 8.0: registers; divisor low while DLAB is set */
#define UART_INTERRUPTS 1       /* divisor high while DLAB is set */
#define UART_FIFO 2
#define UART_LINE_CONTROL 3
#define UART_MODEM_CONTROL 4
#define UART_LINE_STATUS 5
#define LINE_CONTROL_8N1 0x03
#define LINE_CONTROL_DLAB 0x80
#define FIFO_ENABLE_AND_CLEAR 0x07
#define MODEM_DTR_RTS_OUT2 0x0b
#define LINE_STATUS_THR_EMPTY 0x20
#define POLLS_BEFORE_GIVING_UP 1000000  /* no UART, or a stuck one, must not hang a panic */

#define VGA_TEXT 0xb8000UL
#define VGA_COLUMNS 80
#define VGA_ROWS 25
#define VGA_WHITE_ON_RED 0x4f00

void console_start(void)
{
    io_out8(COM1 + UART_INTERRUPTS, 0);
    io_out8(COM1 + UART_LINE_CONTROL, LINE_CONTROL_DLAB);
    io_out8(COM1 + UART_DATA, 1);           /* divisor 1: 115200 baud */
    io_out8(COM1 + UART_INTERRUPTS, 0);
    io_out8(COM1 + UART_LINE_CONTROL, LINE_CONTROL_8N1);
    io_out8(COM1 + UART_FIFO, FIFO_ENABLE_AND_CLEAR);
    io_out8(COM1 + UART_MODEM_CONTROL, MODEM_DTR_RTS_OUT2);
}

static void serial_put(char byte)
{
    for (unsigned polls = 0; polls < POLLS_BEFORE_GIVING_UP; polls++)
        if (io_in8(COM1 + UART_LINE_STATUS) & LINE_STATUS_THR_EMPTY)
            break;
    io_out8(COM1 + UART_DATA, (uint8_t)byte);
}

void console_write(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        serial_put(bytes[i]);
}

/* On VGA's text screen and on the picture, whichever is there: what is written to the other is lost. */
static void cell_put(unsigned column, unsigned row, uint8_t character)
{
    volatile uint16_t *screen = (volatile uint16_t *)VGA_TEXT;
    screen[row * VGA_COLUMNS + column] = (uint16_t)(VGA_WHITE_ON_RED | character);
    framebuffer_put(column, row, character, VGA_WHITE_ON_RED >> 8);
}

static void screen_put(char byte)
{
    static unsigned row, column;
    if (row == VGA_ROWS)
        return;                             /* the top of a panic says more than its end */
    if (byte != '\n' && column < VGA_COLUMNS)
        cell_put(column++, row, (uint8_t)byte);
    if (byte == '\n') {
        while (column < VGA_COLUMNS)
            cell_put(column++, row, ' ');
        row++;
        column = 0;
    }
}

void console_write_panic(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n')
            serial_put('\r');
        serial_put(bytes[i]);
        screen_put(bytes[i]);
    }
}
