{{ period_bars("month") }}
