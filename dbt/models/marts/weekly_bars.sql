{{ period_bars("week") }}
