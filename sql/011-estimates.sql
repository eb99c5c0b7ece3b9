-- Predicted paths were never measured.
alter table estimates alter column last_measured drop not null;

-- metrics: { "<metric>": [centre, p10, p90, sample count, series count, last measured in ms since 1970 or null, method
-- or null, [freshness, evidence, agreement, verdicts, predictability] or null] }. Rows of before have the first six.
