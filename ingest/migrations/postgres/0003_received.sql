-- What arrived of a transfer, where Token-2022 may withhold a fee.
ALTER TABLE transfers ADD COLUMN received numeric(20, 0);
COMMENT ON COLUMN transfers.amount IS 'What was sent, in base units; may be 0.';
COMMENT ON COLUMN transfers.received IS 'What arrived, in base units: less than the amount where Token-2022 withheld a fee. By the change of the receiver''s balance; null for other tokens, where the message does not tell it, and where the account has part in several transfers of the token in its transaction.';
COMMENT ON COLUMN transfers.token_2022 IS 'Whether it is a token of Token-2022, transfers of which may bear a fee: then less arrives than the amount (received).';
