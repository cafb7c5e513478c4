-- What arrived of a transfer, where Token-2022 may withhold a fee. In digits, as amounts are.
ALTER TABLE transfers ADD COLUMN received TEXT;
